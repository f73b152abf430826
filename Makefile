# make export   builds models/digits.toml into export/digits (RECIPES="models/resnet50.toml ..." builds others)
# make test     proves it
# Both make .venv themselves, once. PYTHON=python3 uses that interpreter as it is, without a venv.

RECIPES ?= models/digits.toml
VENV    := .venv
SERVE   := .venv-serve
PILLOW  := .venv-pillow
PILLOWS := 11.0.0 12.3.0
LOWEST  := .venv-lowest
RESIZING := tests/*/test_pillow.py tests/*/test_geometry.py tests/verify/test_report.py tests/export/test_original.py tests/cli/test_attach_options.py \
	tests/sources/test_steps_from.py $(patsubst %,tests/sources/published/test_%.py,weights timm huggingface reasons)
PORT    ?= 8080
JOBS    ?= 2
NODE    := export/embed/node_modules/.package-lock.json
READY   := $(VENV)/.ready

ifdef PYTHON
PY    := $(PYTHON)
SETUP :=
else
PY    := $(VENV)/bin/python
SETUP := $(READY)
endif

export ORT_DISABLE_TELEMETRY ?= 1
# Bytecode is kept, whatever this shell says: else each worker, and each process that a test starts, compiles all modules anew.
export PYTHONDONTWRITEBYTECODE :=

.DEFAULT_GOAL := help
.PHONY: help setup setup-serve setup-web test test-lowest test-pillow test-serve serve web conformance lint bench survey gpu plots models
.PHONY: picture clean
.PHONY: export

help:  ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "make %-11s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: $(SETUP)  ## make .venv with everything (PYTHON=python3 in front of other targets does without)

export: $(SETUP)  ## build RECIPES (default models/digits.toml) into export/ (the first time with .venv: 3 minutes, 7 GB)
	$(PY) -m preproc export $(RECIPES)

test: $(SETUP)  ## the proof: layers, fold, export, verification (15 minutes on 2 cores; JOBS=4 for more)
	$(PY) -m pytest -n $(JOBS) --dist loadfile --max-worker-restart 0

test-pillow: $(SETUP) $(PILLOWS:%=$(PILLOW)/%/.ready)  ## what depends on Pillow, with older ones, which resize in another order
	@set -e; for version in $(PILLOWS); do echo "Pillow $$version"; \
	$(PILLOW)/$$version/bin/python -m pytest -n $(JOBS) --dist loadfile $(RESIZING); done

test-lowest: $(LOWEST)/.ready  ## the suite with the oldest versions that pyproject allows, in .venv-lowest (8 GB); TESTS="tests/export/test_export.py": some of it
	$(LOWEST)/bin/python -m pytest -n $(JOBS) --dist loadfile $(TESTS)

setup-serve: $(SERVE)/.ready  ## make .venv-serve with real servers for test-serve (700 MB)

test-serve: $(SETUP) $(SERVE)/.ready  ## the packages behind a real Triton core and KServe, on the loopback interface
	$(PY) -m pytest -m serve tests/serving

serve: $(SETUP) $(SERVE)/.ready  ## REPOSITORY=...: serve it on this machine with that Triton, to try it: ports 8000 and 8001
	@$(PY) -m tests.serving '$(REPOSITORY)'

setup-web: $(NODE)  ## npm installs what the programs in JavaScript need (450 MB)

web: $(SETUP) $(NODE)  ## draw a digit in the browser: 127.0.0.1:8080/embed/web/ (PORT=8081 takes another port)
	$(PY) -m preproc export models/digits-web.toml
	@$(PY) export/embed/web/serve.py export '$(PORT)'

conformance: $(SETUP)  ## write export/conformance/: for every step its constants, an input and the float64 output
	$(PY) -m tests.conformance

lint: $(SETUP)  ## ruff and mypy
	$(PY) -m ruff check .
	$(PY) -m ruff format --check .
	$(PY) -m mypy

bench: $(SETUP)  ## speed as ratios against peers, into tests/bench/results/
	$(PY) -m tests.bench

survey: $(SETUP)  ## the fold and the pixels of torchvision's models and timm's families, other libraries' RGB of Y, U and V, half precision and int8 beside peers, what diagnose names of networks, into tests/survey/; random graphs, broken files (more than an hour)
	$(PY) -m tests.survey_recipes
	$(PY) -m tests.survey_pixels
	$(PY) -m tests.survey_yuv
	$(PY) -m tests.survey_processors
	$(PY) -m tests.survey_models torchvision
	$(PY) -m tests.survey_models timm
	$(PY) -m tests.survey_precision
	$(PY) -m tests.survey_diagnose_pairs
	$(PY) -m tests.survey_diagnose
	$(PY) -m tests.survey_labels
	$(PY) -m tests.survey_graphs 1000
	$(PY) -m tests.fuzz 20000

gpu: $(SETUP)  ## the cuda tests, bundles and figures, into tests/bench/results/ or the folder OUT (9 minutes at most)
	$(PY) -m tests.bench.gpu

plots: $(SETUP)  ## draw and tabulate tests/bench/results/*.json again: pictures there, tables in tests/bench/README.md, a sentence each in README.md
	$(PY) -m tests.bench.plot

models: $(SETUP)  ## train the embedded backbone again (about 8 minutes on 2 cores)
	$(PY) models/train_digits.py

picture: $(SETUP)  ## draw models/digits.png from export/digits and models/digits.images
	$(PY) models/draw_picture.py

clean:  ## remove .venv and its likes, node_modules and caches
	rm -rf $(VENV) $(SERVE) $(PILLOW) $(LOWEST) export/embed/node_modules dist build .mypy_cache .ruff_cache .hypothesis
	find . -name __pycache__ -not -path './.git/*' -prune -exec rm -rf {} +

# A venv without its stamp was left half-made: it is made again from nothing.
$(READY): pyproject.toml constraints.txt
	@python3 -c 'import sys; v = sys.version_info[:2]; sys.exit(f"expected Python 3.11 or newer as python3, got {v[0]}.{v[1]}" if v < (3, 11) else 0)'
	test -f $(READY) || python3 -m venv --clear $(VENV)
	@echo "installing torch, ONNX Runtime and the rest of constraints.txt into $(VENV), once: about 3 minutes and 7 GB"
	@(PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_CONSTRAINT=constraints.txt $(VENV)/bin/python -m pip install --progress-bar off --editable '.[dev]' \
	|| touch $(VENV)/.failed) | grep -E '^(Downloading|Using cached|Building|Installing) '; ! rm $(VENV)/.failed 2>/dev/null
	touch $(READY)

$(LOWEST)/.ready: pyproject.toml constraints-lowest.txt
	test -f $(LOWEST)/.ready || python3 -m venv --clear $(LOWEST)
	PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_CONSTRAINT=constraints-lowest.txt $(LOWEST)/bin/python -m pip install --quiet --no-compile --editable '.[dev]'
	touch $(LOWEST)/.ready

$(NODE): export/embed/package.json export/embed/package-lock.json
	cd export/embed && npm ci --ignore-scripts
	touch $(NODE)

# The servers want numpy < 2: a venv of their own, which borrows torch and onnxruntime from the other one.
$(SERVE)/.ready: tests/serving/constraints.txt | $(SETUP)
	python3 -m venv --clear $(SERVE)
	PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_CONSTRAINT=tests/serving/constraints.txt $(SERVE)/bin/python -m pip install --quiet numpy nvidia-pytriton kserve
	$(PY) -c 'import sysconfig; print(sysconfig.get_path("purelib"))' > $$($(SERVE)/bin/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')/borrowed.pth
	touch $(SERVE)/.ready

# Another Pillow in front of everything else, which is borrowed; what is imported and what its metadata says are that one.
$(PILLOW)/%/.ready: | $(SETUP)
	$(PY) -m venv --clear $(@D)
	PIP_DISABLE_PIP_VERSION_CHECK=1 $(@D)/bin/python -m pip install --quiet pillow==$*
	$(PY) -c 'import sys; print(*(path for path in sys.path if path.endswith("-packages")), sep="\n")' > $$($(@D)/bin/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')/borrowed.pth
	$(@D)/bin/python -c 'import PIL, torch; from importlib.metadata import version; assert PIL.__version__ == version("pillow") == "$*", PIL'
	touch $@
