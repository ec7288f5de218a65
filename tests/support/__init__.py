"""What the tests share: networks, cuts, and a worker to launch and kill."""
