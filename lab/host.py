#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""Boot one emulated host and run one command in it. See lab/host.

What holds for every host; what is QEMU's is in qemu.py, what is Bochs' in
bochs.py. Runs inside the Debian root, in namespaces that end with it: the emulator
does not outlive this program, whatever ends it.
"""

import argparse
import os
import re
import shlex
import subprocess
import sys
import time

sys.dont_write_bytecode = True
import bochs  # noqa: E402
import hostimage  # noqa: E402
import hosts  # noqa: E402
import qemu  # noqa: E402

PASS, FAIL, USAGE, ERROR = 0, 1, 2, 3

EPILOG = """
modes:
  icount  QEMU, deterministic: the same run, to the instruction, each time
          (default of the AMD hosts)
  single  QEMU, one emulator thread, in real time
  multi   QEMU, one emulator thread for each CPU; fast, and may lose the host
  bochs   Bochs, one CPU, its time counted in instructions (default of the
          Intel host)
  kvm     QEMU with real nested virtualisation, the default where the machine
          has it for the host's kind of CPU

exit status:
  0  the command returned 0 and the host's kernel log is clean
  1  the command failed (its code in OUT/rc) or the kernel complained
     (OUT/complaints)
  2  wrong usage, or something needed is missing
  3  the emulator was lost: no boot, no end mark before the timeout, an end
     of its own

A guest under icount or single is hit again and again by a defect of QEMU's
(interrupts delivered twice); boot guests under multi, which --guest does, on
one processor.

OUT holds console.log (the host's kernel log), out.log (the command's output),
rc, complaints, emulator.log and command (how to run it again).
"""

KERNEL_WORDS = ("console=ttyS0,115200 mitigations=off nokaslr norandmaps "
                "random.trust_cpu=off panic=-1 oops=panic")

# What a sound host never prints.
COMPLAINT = re.compile(
    r"WARNING: |BUG: |kernel BUG at|Oops: |Kernel panic|general protection"
    r"|Unable to handle|unable to handle|invalid opcode:"
    r"|INFO: rcu|rcu: INFO|rcu_\w+ (self-)?detected|RCU used illegally"
    r"|suspicious RCU|INFO: possible|INFO: inconsistent|INFO: task .* blocked"
    r"|possible (circular|recursive) locking|lock held when returning"
    r"|soft lockup|hard LOCKUP|scheduling while atomic|sleeping function called"
    r"|KASAN: |UBSAN: |ODEBUG: |refcount_t: |list_(add|del) corruption"
    r"|unreferenced object|kmemleak: (?!Kernel memory leak detector init)"
    r"|INFO: trying to register|turning off the locking correctness"
    r"|pagealloc: |Bad page|bad: scheduling|Objects remaining"
    r"|stack guard page|Out of memory|oom-kill")
# A host that stopped moving, as a lost emulator does too.
STALL = re.compile(r"INFO: rcu|rcu: INFO|rcu_\w+ |soft lockup|hard LOCKUP"
                   r"|INFO: task .* blocked")
END = re.compile(r"@@lab-end (\d+)@@")

# In seconds on host amd; a slower host has more.
TIMEOUT, BOOT_TIMEOUT = 1500, 300

MACHINES = {"qemu": qemu, "bochs": bochs}


def outer_path(path):
    """Where a path of the caller's is found inside the root."""
    cwd, top = os.environ.get("LAB_CWD"), os.environ.get("LAB_TOP")
    if not cwd:
        return os.path.abspath(path)
    path = os.path.normpath(os.path.join(cwd, path))
    if path == top or path.startswith(top + "/"):
        return hostimage.TOP + path[len(top):]
    return "/host" + path


def shown(path):
    """A path as the caller knows it."""
    top = os.environ.get("LAB_TOP")
    if path.startswith("/host/"):
        return path[len("/host"):]
    if top and path.startswith(hostimage.TOP + "/"):
        return path[len(hostimage.TOP) + 1:]
    return path


def split_file(parser, text):
    path, colon, name = text.rpartition(":")
    if not colon or not name or "/" in name:
        parser.exit(USAGE, f"lab/host: --file wants FILE:NAME, not {text}\n")
    path = outer_path(path)
    if not os.path.isfile(path):
        parser.exit(USAGE, f"lab/host: {shown(path)} does not exist\n")
    return path, name


def parse(argv):
    p = argparse.ArgumentParser(
        prog="lab/host", usage="lab/host [options] -- COMMAND [ARGUMENTS]",
        description="Boot one emulated host, run one command in it.",
        formatter_class=argparse.RawDescriptionHelpFormatter, epilog=EPILOG,
        allow_abbrev=False)
    p.add_argument("--host", default=hosts.DEFAULT,
                   help="which host: " + ", ".join(hosts.HOSTS))
    p.add_argument("--modules", default="ours", choices=("ours", "stock"),
                   help="which KVM the host loads")
    p.add_argument("--payload", action="append", default=[], metavar="DIR",
                   help="merged into /payload of the host (may be repeated)")
    p.add_argument("--file", action="append", default=[], metavar="FILE:NAME",
                   help="FILE is /payload/NAME in the host (may be repeated)")
    p.add_argument("--module", action="append", default=[], metavar="NAME",
                   help="a module of the kernel's that the command may load "
                        "(may be repeated)")
    p.add_argument("--disk", metavar="FILE",
                   help="raw image, a block device $LAB_DISK in the host; "
                        "what the host writes is thrown away")
    p.add_argument("--out", default="build/host", metavar="DIR")
    p.add_argument("--timeout", type=int, metavar="SEC")
    p.add_argument("--boot-timeout", type=int, metavar="SEC")
    p.add_argument("--mode", default="auto",
                   choices=["auto", *qemu.MODES, *bochs.MODES])
    p.add_argument("--seed", type=int,
                   help="another seed is another interleaving (icount)")
    p.add_argument("--mem", type=int, metavar="MB")
    p.add_argument("--cpus", type=int, metavar="N")
    p.add_argument("--hugepages", type=int, default=0, metavar="N",
                   help="reserve N huge pages of 2 MB in the host")
    p.add_argument("--append", default="", metavar="WORDS",
                   help="more words for the host's kernel command line")
    p.add_argument("--guest", action="store_true",
                   help="the command boots a guest: mode multi by default, "
                        "and OUT/twice notes where the emulator delivered an "
                        "interrupt twice")
    p.add_argument("--interactive", action="store_true",
                   help="the command gets this terminal")
    p.add_argument("command", nargs="+", metavar="COMMAND")
    args = p.parse_args(argv)
    try:
        args.host = hosts.find(args.host)
    except hosts.UnknownHost as e:
        p.exit(USAGE, f"lab/host: {e}\n")
    defaults = {"timeout": TIMEOUT * args.host.slow,
                "boot_timeout": BOOT_TIMEOUT * args.host.slow,
                "cpus": args.host.cpus, "mem": args.host.mem}
    for name, value in defaults.items():
        if getattr(args, name) is None:
            setattr(args, name, value)
    for name in ("timeout", "mem", "cpus"):
        if getattr(args, name) < 1:
            p.exit(USAGE, f"lab/host: --{name} must be at least 1\n")
    args.payload = [outer_path(d) for d in args.payload]
    args.out = outer_path(args.out)
    args.file = [split_file(p, f) for f in args.file]
    if args.disk:
        args.disk = outer_path(args.disk)
        if not os.path.isfile(args.disk):
            p.exit(USAGE, f"lab/host: {shown(args.disk)} does not exist\n")
    choose_machine(p, args)
    return args


def choose_machine(parser, args):
    """The emulator and its mode: real nesting needs QEMU, whatever the host."""
    args.machine = MACHINES[args.host.machine]
    if args.mode == "kvm" or \
            args.mode == "auto" and qemu.real_nesting(args.host.kvm):
        args.machine, args.mode = qemu, "kvm"
    elif args.mode == "auto":
        args.mode = args.machine.mode(args)
    elif args.mode not in args.machine.MODES:
        parser.exit(USAGE, f"lab/host: host {args.host.name} has no mode "
                           f"{args.mode}\n")
    refusal = args.machine.Machine.refuse(args)
    if refusal:
        parser.exit(USAGE, f"lab/host: {refusal}\n")


def complaints(path):
    found = []
    try:
        with open(path, encoding="utf-8", errors="replace") as f:
            found = [line.rstrip() for line in f if COMPLAINT.search(line)]
    except FileNotFoundError:
        pass
    return found


class Port:
    """Follow the second serial port: copy it, find the end mark."""

    def __init__(self, raw, log):
        self.path, self.raw, self.rest, self.code = raw, None, b"", None
        self.log = open(log, "w", encoding="utf-8", buffering=1)

    def poll(self):
        if self.raw is None:
            try:
                self.raw = open(self.path, "rb")
            except FileNotFoundError:
                return
        *lines, self.rest = (self.rest + self.raw.read()).split(b"\n")
        for line in lines:
            self.line(line)

    def line(self, line):
        text = line.decode("utf-8", "replace").rstrip("\r")
        end = END.search(text)
        if end:
            self.code = int(end.group(1))
            text = text[:end.start()]
            if not text:
                return
        self.log.write(text + "\n")
        print(text, flush=True)

    def close(self):
        self.poll()
        if self.rest:
            self.line(self.rest)
        self.log.close()


def is_up(console):
    try:
        with open(console, "rb") as f:
            return b"lab: up" in f.read()
    except FileNotFoundError:
        return False


def watch(machine, args, port):
    """Until the end mark, the emulator's end, or a timeout; say what was lost."""
    console = f"{args.out}/console.log"
    start, up, grace = time.monotonic(), False, None
    while True:
        ended = machine.ended()
        port.poll()
        now = time.monotonic()
        if ended:
            return f"the emulator ended: {machine.fault()}" \
                if port.code is None else None
        if port.code is not None:
            # The last lines of its log, then it powers off.
            grace = grace or now + 30
            if now > grace:
                return None
        elif now > start + args.timeout:
            return f"no end mark after {args.timeout} s"
        elif not up:
            up = is_up(console)
            if not up and now > start + args.boot_timeout:
                return f"the host did not come up in {args.boot_timeout} s"
        time.sleep(0.05)


def run(args, work):
    """Boot, run, judge. Returns exit status and what was lost, if anything."""
    kind = args.machine
    kernel = hostimage.Kernel(args.host.kernel)
    settings = {
        "LAB_KVM": args.host.kvm,
        "LAB_KVM_PARAMS": args.host.params,
        "LAB_BEFORE_KVM": args.host.before,
        "LAB_SLOW": args.host.slow,
        "LAB_HUGEPAGES": args.hugepages,
        "LAB_INTERACTIVE": "y" if args.interactive else "",
        "LAB_DISK": kind.DISK if args.disk else "",
        "LAB_DISK_MODULES": " ".join(kind.MODULES),
    }
    modules = [args.host.kvm] + kind.MODULES + args.host.before.split() + \
        args.module
    initrd = hostimage.make(work, kernel, modules, args, settings)
    words = " ".join(w for w in (KERNEL_WORDS, kind.KERNEL_WORDS, args.append)
                     if w)
    machine = kind.Machine(args, work)
    # Bochs makes it with the first word only.
    hostimage.write(f"{args.out}/port.raw", "")
    try:
        machine.start(kernel.vmlinuz, initrd, words)
        if args.interactive:
            machine.wait()
            return PASS, None
        port = Port(f"{args.out}/port.raw", f"{args.out}/out.log")
        lost = watch(machine, args, port)
    finally:
        machine.stop()
    port.close()
    os.unlink(f"{args.out}/port.raw")
    return judge(args, machine, port.code, lost)


def judge(args, machine, code, lost):
    found = complaints(f"{args.out}/console.log")
    if found:
        hostimage.write(f"{args.out}/complaints", "\n".join(found) + "\n")
        print(f"lab/host: the host's kernel complained: {found[0]}",
              file=sys.stderr)
    if code is not None:
        hostimage.write(f"{args.out}/rc", f"{code}\n")
        return (FAIL if code or found else PASS), None
    if machine.trusted and any(not STALL.search(line) for line in found):
        return FAIL, None
    return ERROR, lost


def prepare_out(args, argv):
    os.makedirs(args.out, exist_ok=True)
    for name in ("console.log", "out.log", "rc", "complaints", "emulator.log",
                 "port.raw", "command", "twice"):
        if os.path.exists(f"{args.out}/{name}"):
            os.unlink(f"{args.out}/{name}")
    hostimage.write(f"{args.out}/command",
                    shlex.join(["lab/host"] + argv) + "\n")


def main(argv):
    args = parse(argv)
    work = f"/tmp/host.{os.getpid()}"
    os.makedirs(work)
    try:
        prepare_out(args, argv)
        status, lost = run(args, work)
    except (hostimage.ImageError, OSError, subprocess.SubprocessError) as e:
        print(f"lab/host: {e}", file=sys.stderr)
        return USAGE
    if lost:
        print(f"lab/host: ERROR: {lost}; see {shown(args.out)}/console.log",
              file=sys.stderr)
    return status


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
