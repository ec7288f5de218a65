"""The accuracy that a trained network must have for an exercise to be solved."""


def require_accuracy(network, x_test, y_test, least):
    """Refuse a network that reads less than this share of the test digits."""
    logits = network.predict(x_test, batch_size=1000, verbose=0)
    accuracy = float((logits.argmax(axis=1) == y_test).mean())
    assert accuracy >= least, (
        f"Not yet: {accuracy:.1%} of the test digits, not {100 * least:.0f} %."
    )
