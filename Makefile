# Every verb goes through scripts/bootstrap.py, which installs what the verb needs and no more.
# Arguments are handed on with ARGS, for example: make demo ARGS=--once
PYTHON ?= python3
ARGS ?=
RUN = $(PYTHON) scripts/bootstrap.py

.DEFAULT_GOAL := help
.PHONY: help demo test check bench screenshots serve fmt assets setup wheel sbom image image-test startos startos-check release clean

help: ## List every verb
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-13s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: ## Simulated two-Spark cluster, a swap, a chat answer, the dashboard (ARGS=--once: then stop)
	@$(RUN) demo $(ARGS)

test: ## Install what the tests need and run the whole suite (ARGS="tests/cli -n 0": a part of it)
	@$(RUN) test $(ARGS)

check: ## Lint, format, types, floors, known vulnerabilities, docs
	@$(RUN) check $(ARGS)

bench: ## Measure what docs/performance.md reports
	@$(RUN) bench $(ARGS)

screenshots: ## A picture of every page, both widths and themes, in build/screenshots
	@$(RUN) screenshots $(ARGS)

serve: ## Run the app on http://127.0.0.1:9999 with ./data (ARGS="--data DIR --port N")
	@$(RUN) serve $(ARGS)

fmt: ## Format the code and fix what lint can fix
	@$(RUN) fmt $(ARGS)

assets: ## Build the front-end assets into static/dist
	@$(RUN) assets $(ARGS)

setup: ## Only install: uv, the locked dependencies, the front-end assets
	@$(RUN) setup $(ARGS)

wheel: ## Build the wheel and its locked requirements into dist/
	@$(RUN) wheel $(ARGS)

sbom: ## Write what the app is made of into dist/: CycloneDX and a list of licences
	@$(RUN) sbom $(ARGS)

image: ## Build the container image (ARGS="--platform linux/arm64"; see docs/install.md)
	@$(RUN) image $(ARGS)

image-test: ## Build the image and run a swap in it, locked down (as root; takes minutes)
	@$(RUN) image-test $(ARGS)

startos: ## Pack the StartOS packages (needs start-cli and docker; ARGS=x86: one of them)
	@$(RUN) startos $(ARGS)

startos-check: ## Type check, lint, format and bundle the StartOS package
	@$(RUN) startos-check $(ARGS)

release: ## Version, notes, lock and audit of a release (ARGS=1.2.0; commits nothing)
	@$(RUN) release $(ARGS)

clean: ## Remove what the other verbs made (never a data directory)
	@$(RUN) clean $(ARGS)
