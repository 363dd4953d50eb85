# Which Python makes .venv: make lab PYTHON=python3.12
PYTHON ?= python3
# What lab, mutations, again, reopening, labels, firefox, peers, notebooks, handouts and bench pass on: make lab ARGS=--no-browser
ARGS ?=

# Bytecode is kept whatever the environment says: the tests start some hundred processes,
# and each would compile all modules again.
export PYTHONDONTWRITEBYTECODE =

RUN = .venv/bin/python
CODE = helpers tests notebooks conftest.py
# tests/conftest.py says what is slow, what comes first, and what shares a worker.
# Threads that wait for each other sleep, since others need the processors meanwhile: a
# fifth less work. It changes no result.
PYTEST = OMP_WAIT_POLICY=PASSIVE $(RUN) -m pytest -rs
# In the docstrings of the library.
EXAMPLES = --doctest-modules --ignore=helpers/classroom
FAILED = { echo; echo "This step failed. $(1)."; exit 1; }

.NOTPARALLEL:
.PHONY: help lab style check test mutations again reopening labels firefox wheel peers notebooks handouts bench install runtimes

help:
	@echo "make lab        open the course in JupyterLab   (on a server: ARGS=--no-browser)"
	@echo "make check      style, types, and the tests that need no kernel and no browser"
	@echo "make test       prove everything that the course says"
	@echo "make mutations  alter helpers; the notebooks have to notice   (one: ARGS='-k 01')"
	@echo "make again      run each notebook's cells a second time   (one: ARGS='-k 01')"
	@echo "make reopening  save every notebook in a plain JupyterLab, and open it again"
	@echo "make labels     measure the words of every panel over all settings   (one: ARGS='-k tolerance')"
	@echo "make firefox    try every panel and quiz in Firefox, too"
	@echo "make wheel      build the wheel, install it elsewhere, and use it"
	@echo "make peers      let other scanners judge the inspector's files beside it"
	@echo "make notebooks  execute the notebooks in place  (one: ARGS=notebooks/NN_name.ipynb)"
	@echo "make handouts   write what a teacher hands out  (one: ARGS=notebooks/NN_name.ipynb)"
	@echo "make bench      print tables of times and memory"
	@echo "make runtimes   add the other runtimes of notebook 07   (npm is needed for one)"

lab: install
	@$(RUN) -m helpers.lab $(ARGS)

# What make check and make test begin with.
style: install
	@echo "Style"
	@$(RUN) -m ruff check $(CODE) || $(call FAILED,Most is fixed by: $(RUN) -m ruff check --fix $(CODE))
	@$(RUN) -m ruff format --check $(CODE) || $(call FAILED,Run: $(RUN) -m ruff format $(CODE))
	@echo "Imports and types of the library"
	@.venv/bin/lint-imports --no-cache --no-logo || $(call FAILED,pyproject.toml has the contracts)
	@$(RUN) -m mypy || $(call FAILED,See above)
	@echo "JavaScript"
	@$(RUN) -m tests.javascript || $(call FAILED,Most of the style is fixed by: $(RUN) -m tests.javascript --fix)

check: style
	@echo "Unit tests, and the examples in the library's docstrings"
	@$(PYTEST) -n 2 -m "not slow" $(EXAMPLES) tests helpers || $(call FAILED,Run the first file that failed alone: $(RUN) -m pytest tests/ROOM/test_NAME.py)

# In one run, since no core waits for the last long test while there are short ones.
test: runtimes style
	@echo "Kernels, browsers, other runtimes, and every notebook (its outputs are compared, twice);"
	@echo "unit tests, and the examples in the library's docstrings"
	@$(PYTEST) -n 3 --nbval $(EXAMPLES) tests notebooks helpers || $(call FAILED,If a new output of a notebook is the right one: make notebooks; then read the diff)

mutations: install
	@$(PYTEST) tests/notebooks/mutations.py $(ARGS) || $(call FAILED,A cell compares too little or a row of tests/course is stale)

again: install
	@$(PYTEST) -n 2 tests/notebooks/again.py $(ARGS) || $(call FAILED,A cell cannot be run twice in the same kernel)

reopening: install
	@$(PYTEST) tests/browser/reopening.py --durations=0 $(ARGS) || $(call FAILED,tests/browser/reopening.py says what it installs)

labels: install
	@$(PYTEST) -n 2 tests/browser/every_label.py $(ARGS) || $(call FAILED,Words are covered or cut off or too small; the test names them)

firefox: install
	@$(PYTEST) tests/browser/firefox.py $(ARGS) || $(call FAILED,Chromium passes in make test: look for what Firefox does otherwise)

wheel: install
	@$(PYTEST) tests/wheel.py || $(call FAILED,pyproject.toml says what goes into it)

peers: install
	@$(PYTEST) tests/peers/side_by_side.py $(ARGS) || $(call FAILED,tests/peers/ has the files and asks the scanners)

notebooks: install
	@$(RUN) tests/make_notebooks.py $(ARGS)

handouts: install
	@$(RUN) -m helpers handouts $(ARGS)

bench: install
	@$(RUN) -m tests.benchmarks $(ARGS)

install:
	@command -v $(PYTHON) >/dev/null || $(call FAILED,There is no $(PYTHON) here; install Python 3.11 or newer or name one: make lab PYTHON=python3.12)
	@$(PYTHON) helpers/classroom/setup/install.py

runtimes: install
	@$(PYTHON) helpers/classroom/setup/install.py runtimes
