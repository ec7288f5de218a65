# `make book` and `make test` are all that a reader needs; `make check` before a commit;
# `make help` names the rest.
# Each environment is made once, from locked files, and again when its file changes.

PYTHON ?= python3
BIN    := .venv/bin
PIP    := -m pip --quiet --disable-pip-version-check
# Python compiles what is imported when it is: most of an environment never is.
FETCH  := $(PIP) install --no-compile
PROSE  := *.md chapters appendix nestrade_lib scripts tests

# As the notebooks' setup cell has it: no start-up messages.
export TF_CPP_MIN_LOG_LEVEL := 3

# Else each process compiles TensorFlow's modules anew, which takes longer than to import them.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.PHONY: help book check test mutants lint lab notebooks serve benchmarks links browser \
        test-colab test-backends course slides pdf epub playground take-along jupyter-book-2 \
        map address environments vendor lock clean

help: ## Name these commands
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / {printf "make %-14s %s\n", $$1, $$2}' Makefile

book: .venv/stamp ## Build the pages, after installing what they need
	@$(BIN)/jupyter-book build . -W -n --keep-going
	@echo "The book is ready: open file://$(CURDIR)/_build/html/index.html"

# Processes take whole files, in the order that tests/conftest.py gives them. One more than
# there are cores: some wait for kernels, for workers and for what they have killed.
PYTEST := -m pytest -n 3 --dist loadfile --no-loadscope-reorder

# A thread each: with more, the processes wait for each other on the same cores.
check test: export TF_NUM_INTRAOP_THREADS := 1
check test: export TF_NUM_INTEROP_THREADS := 1

check: lint ## Run lint and the fast tests: two minutes, before each commit
	@$(BIN)/python $(PYTEST) -m "not slow" tests nestrade_lib

test: lint ## Run every check: lint, unit tests, docstrings, every notebook
	@$(BIN)/python $(PYTEST) --durations=20

mutants: .venv/stamp ## Seed faults in the library: each must turn a test red
	@$(BIN)/python -m scripts.mutation_check

lint: .venv/stamp ## Check style, spelling, and what every page keeps to
	@$(BIN)/ruff check --quiet .
	@$(BIN)/ruff format --quiet --check .
	@$(BIN)/codespell $(PROSE)
	@$(BIN)/lint-imports --no-cache >.venv/imports.log || { cat .venv/imports.log; exit 1; }
	@$(BIN)/pyright --pythonpath $(BIN)/python >.venv/types.log || { cat .venv/types.log; exit 1; }
	@$(BIN)/python -m scripts.lint_library
	@$(BIN)/python scripts/module_map.py --check
	@$(BIN)/python -m scripts.lint_notebooks
	@$(BIN)/python -m scripts.lessons --check
	@$(BIN)/python scripts/address.py --check

lab: .venv/stamp ## Open the chapters in JupyterLab
	@$(BIN)/python -m jupyterlab chapters

notebooks: .venv/stamp ## Run every notebook and store its outputs
	@$(BIN)/python -m scripts.execute_notebooks

course: .venv/stamp ## Make students' and teachers' notebooks of the chapters
	@$(BIN)/python -m scripts.course

slides: .venv/stamp ## Make slides of each chapter from its own cells
	@$(BIN)/python -m scripts.slides

pdf: book ## Print the whole book as one PDF; needs Chromium
	@$(BIN)/python -m scripts.pdf

epub: .venv/stamp ## Build the whole book as one EPUB
	@$(BIN)/python -m scripts.epub

take-along: slides pdf epub ## Put slides, PDF and EPUB beside the pages, linked from the first
	@$(BIN)/python -m scripts.take_along

serve: book ## Build the book and show it at http://127.0.0.1:8000
	@$(BIN)/python -m http.server --bind 127.0.0.1 --directory _build/html 8000

playground: .venv/stamp ## Train again the two networks of the page on which one draws
	@$(BIN)/python -m scripts.playground

benchmarks: look-mnist look-overhead look-input ## Look at the benchmarks, writing nothing

# One row of each way to train: the other rows of the table differ in settings alone.
look-mnist: ROWS := default small-and-light-taught curve-dense curve-0.25-nestrade \
    curve-0.25-scratch curve-0.25-thinner curve-0.25-magnitude curve-0.25-lasso

look-%: .venv/stamp
	@$(BIN)/python -m benchmarks.$* --quick $(ROWS)

links: .venv/stamp ## Follow every link of the pages; needs a network
	@$(BIN)/jupyter-book build . --builder linkcheck --path-output _build/links

jupyter-book-2: .venv/stamp ## Say whether the pages parse in Jupyter Book 2; needs node
	@$(BIN)/python -m scripts.jupyter_book_2

browser: .venv/stamp ## Test the built pages in Chromium
	@$(BIN)/python -m pytest -n 2 --dist loadgroup --confcutdir tests/browser tests/browser

test-colab: .venv-colab/stamp ## Run the notebooks on Colab's versions, library installed
	@rm -rf build
	@.venv-colab/bin/python $(PIP) install --no-deps --no-build-isolation --force-reinstall .
	@.venv-colab/bin/python $(PYTEST) -o addopts= --durations=10 --nbval-lax --nbval-current-env \
	    --nbval-cell-timeout=900 chapters appendix

# JAX compiles each test's networks anew, most of them alike: fast, and what is compiled
# is kept.
test-backends: export JAX_DISABLE_MOST_OPTIMIZATIONS := 1
test-backends: export JAX_COMPILATION_CACHE_DIR := $(CURDIR)/.pytest_cache/jax
test-backends: export JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS := 0
test-backends: export JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES := -1
test-backends: .venv-backends/stamp ## Run the library's tests on JAX and on PyTorch
	@for backend in jax torch; do echo "KERAS_BACKEND=$$backend"; \
	    KERAS_BACKEND=$$backend .venv-backends/bin/python $(PYTEST) -o addopts= \
	        --durations=10 -m any_backend $$(grep -l any_backend tests/test_*.py) || exit 1; \
	done

map: ## Write CONTRIBUTING's map of the library from its modules' first lines
	@$(PYTHON) scripts/module_map.py

address: ## Write the repository's address everywhere: make address URL=https://…
	@$(PYTHON) scripts/address.py $(URL)

vendor: ## Fetch the scripts and fonts that the pages bring along
	@$(PYTHON) scripts/vendor.py

lock: .venv-lock/stamp ## Write the locked files from the groups in pyproject.toml
	@$(LOCK) --python-version 3.10 --group book --group test --group browser \
	    --output-file requirements.txt
	@$(LOCK) --python-version 3.11 --group colab --output-file requirements/colab.txt

LOCK := .venv-lock/bin/uv pip compile --quiet --universal --generate-hashes \
        --no-emit-index-url --no-annotate --no-header

clean: ## Remove what was built; the environments stay
	rm -rf _build build *.egg-info .pytest_cache .ruff_cache .hypothesis
	find chapters appendix nestrade_lib scripts tests -name __pycache__ -exec rm -r {} +

environments: .venv/stamp .venv-backends/stamp .venv-colab/stamp ## Make all three environments

.venv/stamp: requirements.txt
	@$(PYTHON) scripts/check_python.py
	@echo "Installing the locked packages into .venv; this takes a few minutes, once."
	@$(PYTHON) -m venv .venv
	@$(BIN)/python $(FETCH) --require-hashes -r requirements.txt
	@$(BIN)/python $(PIP) install --no-deps --no-build-isolation -e .
	@touch $@

.venv-colab/stamp: requirements/colab.txt
	@$(PYTHON) scripts/check_python.py
	@$(PYTHON) -m venv .venv-colab
	@.venv-colab/bin/python $(FETCH) --require-hashes -r requirements/colab.txt
	@touch $@

.venv-backends/stamp: requirements/backends.txt
	@$(PYTHON) scripts/check_python.py
	@$(PYTHON) -m venv .venv-backends
	@.venv-backends/bin/python $(FETCH) -r requirements/backends.txt
	@.venv-backends/bin/python $(PIP) install --no-deps --no-build-isolation -e .
	@touch $@

.venv-lock/stamp:
	@$(PYTHON) -m venv .venv-lock
	@.venv-lock/bin/python $(PIP) install uv
	@touch $@
