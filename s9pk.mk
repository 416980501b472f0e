# Packs the StartOS packages: make -f s9pk.mk x86 | arm | install | clean (or: make startos ARGS=x86).
# A file of its own, because the SDK's rules have verbs (clean, all, install) that are ours already.
# Needs start-cli, npm, git, jq and docker with buildx; the SDK's rules say which one is missing.
ARCHES := x86 arm

# The SDK's rules call make again, which must read this file and not the Makefile beside it.
override MAKE := $(MAKE) -f s9pk.mk

# Before the first npm ci the SDK's rules are not there: installing them makes them, and make
# then reads this file again.
include node_modules/@start9labs/start-sdk/s9pk.mk
node_modules/@start9labs/start-sdk/s9pk.mk: package-lock.json
	npm ci --ignore-scripts --no-audit --no-fund
	@touch $@
