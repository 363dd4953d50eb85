# Which Python makes .venv: make lab PYTHON=python3.12
PYTHON ?= python3
# What lab, notebooks, handouts and bench pass on: make lab ARGS=--no-browser
ARGS ?=

RUN = .venv/bin/python
CODE = helpers tests notebooks
PYTEST = $(RUN) -m pytest -n 2 --dist loadscope
FAILED = { echo; echo "This step failed. $(1)."; exit 1; }
# Once OpenVINO has run, a process with a handler for ended children (a DataLoader with
# workers sets one) dies by SIGSEGV when its next child ends: so they get one of their own.
APART = tests/classroom/runtimes/test_engines.py
# Results may not hang on one processor: only x86 can step down to AVX2.
PLAINER = OMP_NUM_THREADS=1 $(if $(filter x86_64,$(shell uname -m)),ATEN_CPU_CAPABILITY=avx2)

.PHONY: help lab test notebooks handouts bench install runtimes

help:
	@echo "make lab        open the course in JupyterLab   (on a server: ARGS=--no-browser)"
	@echo "make test       prove everything that the course says"
	@echo "make notebooks  execute the notebooks in place  (one: ARGS=notebooks/NN_name.ipynb)"
	@echo "make handouts   write what a teacher hands out  (one: ARGS=notebooks/NN_name.ipynb)"
	@echo "make bench      print tables of times and memory"
	@echo "make runtimes   add the other runtimes of notebook 07   (npm is needed for one)"

lab: install
	@$(RUN) -m helpers.lab $(ARGS)

test: runtimes
	@echo "Style"
	@$(RUN) -m ruff check $(CODE) || $(call FAILED,Most is mended by: $(RUN) -m ruff check --fix $(CODE))
	@$(RUN) -m ruff format --check $(CODE) || $(call FAILED,Run: $(RUN) -m ruff format $(CODE))
	@echo "Unit and browser tests"
	@$(PYTEST) --no-loadscope-reorder tests --ignore=$(APART) || $(call FAILED,Run the first file that failed alone: $(RUN) -m pytest tests/test_NAME.py)
	@$(RUN) -m pytest $(APART) || $(call FAILED,See above)
	@echo "Every notebook; its outputs are compared"
	@$(PYTEST) --nbval notebooks || $(call FAILED,If the new output is the right one: make notebooks; then read the diff)
	@echo "Every notebook once more, with plainer arithmetic: $(PLAINER)"
	@$(PLAINER) $(PYTEST) --nbval notebooks || $(call FAILED,An output hangs on the processor: compare a verdict in its place)

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

# JavaScript and CSS: style and unit tests, a second or two.
.PHONY: javascript
test: javascript
javascript: install
	@$(RUN) -m tests.javascript || $(call FAILED,Most of the style is mended by: $(RUN) -m tests.javascript --fix)
