# SPDX-License-Identifier: GPL-2.0
#
# Verbs only; `make help` lists them. The work is done by the scripts they name.

# Settings of the command line reach the scripts through the environment.
export HOST T STOCK REPEAT SAN SEED RACE_MS V REFRESH LONG

# The names of lab/hosts.py.
hosts := $(shell sed -n 's/^    Host."\([^"]*\)".*/\1/p' lab/hosts.py)
ifneq ($(filter-out $(hosts),$(HOST)),)
$(error unknown host $(HOST); known: $(hosts))
endif

# A script gets a signal when this make is killed, so nothing outlives it.
do := exec setpriv --pdeathsig TERM --

.PHONY: all modules run shell guest unit test stress bench check clean distclean help
.NOTPARALLEL:

all: modules

modules:
	@lab/root
	@$(do) lab/in-root overlay/build

run:
	@$(do) lab/run

shell:
	@$(do) lab/shell

guest:
	@$(do) lab/guest-own "$(KERNEL)" "$(INITRD)" "$(DISK)" "$(APPEND)"

unit:
	@lab/root
	@$(do) selftests/unit/run

test:
	@lab/root
	@$(do) selftests/run

stress:
	@$(do) selftests/stress/run --minutes "$(MIN)" --seed "$(SEED)"

bench:
	@$(do) selftests/bench/run

check:
	@lab/root
	@$(do) selftests/check

clean:
	@lab/clean

distclean:
	@lab/clean all

help:
	@echo 'make           build kvm.ko, kvm-amd.ko, kvm-intel.ko into build/modules/ours'
	@echo 'make run       boot a host with them and a Xen HVM guest in it; report'
	@echo 'make shell     a shell in such a host'
	@echo 'make guest     your own guest: KERNEL=file [INITRD=file] [DISK=file] [APPEND=words]'
	@echo 'make unit      the C files in user space, with checking locks (SAN=address|thread)'
	@echo 'make test      unit, host tests, guest boot (HOST=amd T=name STOCK=1 REPEAT=n)'
	@echo 'make stress    random operations, bounded (HOST=amd MIN=10 SEED=number STOCK=1)'
	@echo 'make bench     ours beside the stock modules: counts, contention, guests, a page (LONG=1)'
	@echo 'make check     checkpatch, sparse, shellcheck, kernel-doc, W=1'
	@echo 'make clean     remove what was built; the Debian root and kernels stay'
	@echo 'make distclean remove everything in build/'
	@echo
	@echo 'HOST=amd       the emulated host (run, shell, guest, test, stress): $(hosts)'
	@echo 'STOCK=1        the modules of the distribution instead (run, shell, test)'
	@echo 'REFRESH=1      ask the package mirrors now, not once a day'
	@echo 'V=1            show the commands of a build'
