# SPDX-License-Identifier: GPL-2.0
"""The emulated hosts (L1), the one table of them.

The names below are also what lab/lib.sh finds, a line `Host("NAME", ...` each.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Host:
    """One host: what emulates it, what runs on it, how fast it is."""

    name: str
    about: str
    machine: str            # lab/qemu.py or lab/bochs.py
    kvm: str                # the module that makes it a KVM host
    params: str = ""        # that module's parameters
    before: str = ""        # modules to load ahead of it
    kernel: str = "debian"  # the package's kernel, or one that lab/kernel builds
    cpus: int = 2
    mem: int = 3072         # MB
    slow: int = 1           # times slower than host amd; scales the timeouts


TABLE = (
    Host("amd", "AMD with nested paging, Debian's kernel",
         machine="qemu", kvm="kvm-amd"),
    # Bochs refuses the descriptor of posted interrupts, and has one usable CPU.
    Host("intel", "Intel with EPT, Debian's kernel",
         machine="bochs", kvm="kvm-intel", params="enable_apicv=0",
         cpus=1, mem=2048, slow=4),
    Host("amd-debug", "AMD, a kernel that checks locks and memory",
         machine="qemu", kvm="kvm-amd", kernel="debug", slow=6),
    # KVM wants a constant TSC there, which TCG has but cannot announce.
    Host("amd-rt", "AMD, a kernel with PREEMPT_RT",
         machine="qemu", kvm="kvm-amd", before="kvm_xen_constant_tsc",
         kernel="rt", slow=6),
    Host("amd-kcsan", "AMD, a kernel that watches for data races",
         machine="qemu", kvm="kvm-amd", kernel="kcsan", slow=10),
)
HOSTS = {host.name: host for host in TABLE}
DEFAULT = TABLE[0].name


class UnknownHost(Exception):
    """There is no such host; says which there are."""


def find(name):
    if name not in HOSTS:
        raise UnknownHost(f"unknown host {name}; known: {', '.join(HOSTS)}")
    return HOSTS[name]
