#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""Can the judge of a storm fail, and does the trace's table say what was counted?

Run by selftests/check. Exit status: 0 if each was judged as it must be.
"""

import os
import sys
import tempfile

sys.dont_write_bytecode = True
TOP = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path.insert(0, f"{TOP}/lab")
import account  # noqa: E402
import hypercalls  # noqa: E402

STORM = "100 protect balloon"
SOUND = """\
host: kvm 0.1 on 6.12, starting the guest
host: storm protect 30 refused 0 pages 900
host: storm balloon 25 refused 1 pages 4
host: pfncache invalidations 100
host: xen latched 3
host: xen flushed 3
"""
# What is changed in it -> what must then be said; nothing if it is still sound.
PLANTED = (
    ("", "", None),
    ("flushed 3", "flushed 2", "3 events were kept, and 2 of them"),
    ("invalidations 100", "invalidations 29", "29 invalidations were seen"),
    ("protect 30", "protect 3", "did protect 3 times"),
    ("balloon 25", "cold 25", "did balloon 0 times"),
    ("pages 4", "pages 0", "discarded no page"),
    ("host: xen", "host: xem", "told nothing"),
    ("host: pfncache", "host: pfncach", "told nothing"),
)

TRACE = """\
host: trace boot 10.0 hypercall 29 1 40
host: trace boot 10.0 hypercall 15 7
host: trace boot 10.0 exit 2 100
host: trace disk 14.0 hypercall 29 1 44
host: trace disk 14.0 hypercall 15 7
host: trace disk 14.0 exit 2 100
host: trace disk 14.0 exit 99 8
"""
HEADERS = {
    "linux/kvm.h": "#define KVM_EXIT_HYPERV_HCALL 2\n#define KVM_EXIT_IO 2\n"
                   "#define KVM_EXIT_HYPERV 27\n",
    "xen/xen.h": "#define __HYPERVISOR_set_timer_op          15\n"
                 "#define __HYPERVISOR_sched_op 29\n",
    "xen/sched.h": "#define SCHEDOP_block       1\n#define SCHEDOP_late 1\n",
}
TABLE = [
    "phase\tseconds\tkind\tname\tcount\teach second",
    "boot\t10.0\texit\tKVM_EXIT_IO\t100\t10.0",
    "boot\t10.0\thypercall\tsched_op SCHEDOP_block\t40\t4.0",
    "boot\t10.0\thypercall\tset_timer_op\t7\t0.7",
    "disk\t4.0\texit\texit 99\t8\t2.0",
    "disk\t4.0\thypercall\tsched_op SCHEDOP_block\t4\t1.0",
]


def judged():
    for old, new, said in PLANTED:
        found = list(account.wrong(SOUND.replace(old, new).splitlines(), STORM))
        if len(found) != bool(said) or said and said not in found[0]:
            yield f"{new or 'a sound run'}: {found}, instead of {said}"
    stock = SOUND.replace("0.1", "stock").partition("host: pfn")[0]
    found = list(account.wrong(stock.splitlines(), STORM))
    if found:
        yield f"stock modules: {found}"


def traced(top):
    for name, text in HEADERS.items():
        os.makedirs(os.path.dirname(f"{top}/usr/include/{name}"), exist_ok=True)
        with open(f"{top}/usr/include/{name}", "w", encoding="utf-8") as f:
            f.write(text)
    for header, _ in hypercalls.OPERATIONS.values():
        os.makedirs(os.path.dirname(f"{top}/usr/include/xen/{header}"),
                    exist_ok=True)
        with open(f"{top}/usr/include/xen/{header}", "a", encoding="utf-8"):
            pass
    got = ["\t".join(map(str, row)) for row in
           hypercalls.table(hypercalls.read(TRACE.splitlines()),
                            hypercalls.Names(top))]
    if got != TABLE:
        yield f"the trace's table is {got}, instead of {TABLE}"


def main():
    with tempfile.TemporaryDirectory() as top:
        wrong = list(judged()) + list(traced(top))
    for text in wrong:
        print(text)
    return bool(wrong)


if __name__ == "__main__":
    sys.exit(main())
