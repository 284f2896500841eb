#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""Boot one emulated host and run one command in it. See lab/host.

Runs inside the Debian root, in namespaces that end with it: QEMU does not
outlive this program, whatever ends it.
"""

import argparse
import fcntl
import os
import re
import shlex
import subprocess
import sys
import time

sys.dont_write_bytecode = True
import hostimage  # noqa: E402

PASS, FAIL, USAGE, ERROR = 0, 1, 2, 3

EPILOG = """
modes:
  icount  deterministic: the same run, to the instruction, each time (default)
  single  one emulator thread, in real time
  multi   one emulator thread for each CPU; fast, and may lose the host
  kvm     real nested virtualisation, the default where the machine has it

exit status:
  0  the command returned 0 and the host's kernel log is clean
  1  the command failed (its code in OUT/rc) or the kernel complained
     (OUT/complaints)
  2  wrong usage, or something needed is missing
  3  the emulator was lost: no boot, no end mark before the timeout

A guest under icount or single is hit again and again by a defect of QEMU's
(interrupts delivered twice); boot guests under multi, which --guest does, on
one processor.

OUT holds console.log (the host's kernel log), out.log (the command's output),
rc, complaints, qemu.log and command (how to run it again).
"""

KERNEL_WORDS = ("console=ttyS0 mitigations=off nokaslr norandmaps "
                "random.trust_cpu=off panic=-1 oops=panic")

# What a sound host never prints.
COMPLAINT = re.compile(
    r"WARNING: |BUG: |kernel BUG at|Oops: |Kernel panic|general protection"
    r"|Unable to handle|unable to handle|invalid opcode:"
    r"|INFO: rcu|rcu: INFO|rcu_\w+ (self-)?detected|RCU used illegally"
    r"|suspicious RCU|INFO: possible|INFO: inconsistent|INFO: task .* blocked"
    r"|possible (circular|recursive) locking|lock held when returning"
    r"|soft lockup|hard LOCKUP|scheduling while atomic|sleeping function called"
    r"|KASAN|KCSAN|UBSAN|kmemleak|refcount_t: |list_(add|del) corruption"
    r"|Bad page|bad: scheduling|Objects remaining|use-after-free"
    r"|stack guard page|Out of memory|oom-kill")
# A host that stopped moving, as a lost emulator does too.
STALL = re.compile(r"INFO: rcu|rcu: INFO|rcu_\w+ |soft lockup|hard LOCKUP"
                   r"|INFO: task .* blocked")
END = re.compile(r"@@lab-end (\d+)@@")

# QEMU's emulation of VMRUN may deliver an injected interrupt once more when it
# leaves its loop for another reason than an interrupt; the second delivery can
# come where the guest has interrupts off, which a processor never does. That
# loses a Linux guest (a deadlock, or an entry without its swapgs). This reads
# QEMU's log of interrupts ("-d int") and prints a line for each such delivery:
# vector from 32 on, not an INT instruction, EFLAGS.IF clear.
TWICE = r"""
/^ *[0-9]+: v=/ { head = $0; irq = $2 >= "v=20" && $4 == "i=0"; next }
irq && /RFL=/ {
	if ($0 ~ /RFL=[0-9a-f]*[014589cd][0-9a-f][0-9a-f] / && n++ < 20)
		print head
	irq = 0
}
"""

KVM_CREATE_VM = 0xAE01


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


def real_nesting():
    """Can this machine run an AMD host under KVM that itself runs guests?

    A /dev/kvm alone says nothing: it may come from a machine that cannot nest.
    """
    with open("/proc/cpuinfo", encoding="ascii", errors="replace") as f:
        if " svm" not in f.read():
            return False
    try:
        with open("/sys/module/kvm_amd/parameters/nested",
                  encoding="ascii") as f:
            if f.read().strip() not in ("1", "Y"):
                return False
        with open("/dev/kvm", "rb+", buffering=0) as kvm:
            os.close(fcntl.ioctl(kvm, KVM_CREATE_VM, 0))
    except OSError:
        return False
    return True


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
    p.add_argument("--host", default="amd", help="which host: amd")
    p.add_argument("--modules", default="ours", choices=("ours", "stock"),
                   help="which KVM the host loads")
    p.add_argument("--payload", action="append", default=[], metavar="DIR",
                   help="merged into /payload of the host (may be repeated)")
    p.add_argument("--file", action="append", default=[], metavar="FILE:NAME",
                   help="FILE is /payload/NAME in the host (may be repeated)")
    p.add_argument("--disk", metavar="FILE",
                   help="raw image, a block device $LAB_DISK in the host; "
                        "what the host writes is thrown away")
    p.add_argument("--out", default="build/host", metavar="DIR")
    p.add_argument("--timeout", type=int, default=900, metavar="SEC")
    p.add_argument("--boot-timeout", type=int, default=300, metavar="SEC")
    p.add_argument("--mode", default="auto",
                   choices=("auto", "icount", "single", "multi", "kvm"))
    p.add_argument("--seed", type=int, default=1,
                   help="another seed is another interleaving (icount)")
    p.add_argument("--mem", type=int, default=3072, metavar="MB")
    p.add_argument("--cpus", type=int, default=2, metavar="N")
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
    if args.host != "amd":
        p.exit(USAGE, f"lab/host: unknown host {args.host}; known: amd\n")
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
    if args.mode == "auto":
        args.mode = "icount"
        if real_nesting():
            args.mode = "kvm"
        elif args.guest or args.interactive:
            args.mode = "multi"
    return args


MODES = {
    "icount": ["-accel", "tcg,thread=single",
               "-icount", "shift=0,sleep=off",
               "-rtc", "base=2026-01-01,clock=vm"],
    "single": ["-accel", "tcg,thread=single"],
    "multi": ["-accel", "tcg,thread=multi"],
    "kvm": ["-accel", "kvm"],
}


def watches_irqs(args):
    return args.guest and args.mode != "kvm" and not args.interactive


def placement(args):
    """Where QEMU's threads may run, as a hook for the child.

    The threads of mode multi lose guests to each other when they truly run at
    the same time. On one processor they take turns, without being kicked out of
    guest mode for it as the one thread of mode single is.
    """
    if args.mode != "multi" or not args.guest:
        return None
    cpu = max(os.sched_getaffinity(0))
    return lambda: os.sched_setaffinity(0, {cpu})


def start_irq_watch(args, work):
    """Run the filter over QEMU's log of interrupts; return its process."""
    os.mkfifo(f"{work}/interrupts")
    with open(f"{args.out}/twice", "w", encoding="ascii") as out:
        return subprocess.Popen(["awk", TWICE, f"{work}/interrupts"],
                                stdout=out)


def qemu_command(args, initrd, work):
    cpu = "EPYC-Milan,+svm,+npt,-rdrand,-rdseed"
    if args.mode == "kvm":
        cpu = "host"
    machine, memory, disk = "q35", f"{args.mem}M", []
    if args.disk:
        # A private mapping of the file: memory to the host, so no
        # completion comes at a time of the machine's choosing, and the
        # file itself is never written.
        machine += ",nvdimm=on"
        size = os.path.getsize(args.disk)
        memory += f",slots=1,maxmem={args.mem + size // 2**20 + 4096}M"
        disk = ["-object", "memory-backend-file,id=disk,share=off,"
                f"readonly=on,rom=off,mem-path={args.disk},size={size}",
                "-device", "nvdimm,memdev=disk,unarmed=off"]
    watch_irqs = []
    if watches_irqs(args):
        watch_irqs = ["-d", "int", "-D", f"{work}/interrupts"]
    words = KERNEL_WORDS + (" " + args.append if args.append else "")
    port = ["-chardev", f"file,id=port,path={args.out}/port.raw"]
    if args.interactive:
        port = ["-chardev", "stdio,id=port,signal=off"]
    return (["qemu-system-x86_64", "-nodefaults", "-no-user-config",
             "-no-reboot", "-display", "none", "-machine", machine,
             "-cpu", cpu, "-smp", str(args.cpus), "-m", memory,
             "-seed", str(args.seed)] + MODES[args.mode] + watch_irqs + disk +
            ["-kernel", f"/boot/vmlinuz-{hostimage.release()}",
             "-initrd", initrd, "-append", words,
             "-serial", f"file:{args.out}/console.log"] + port +
            ["-serial", "chardev:port"])


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


def watch(qemu, args, port):
    """Until the end mark, QEMU's end, or a timeout; say what was lost."""
    console = f"{args.out}/console.log"
    start, up, grace = time.monotonic(), False, None
    while True:
        ended = qemu.poll() is not None
        port.poll()
        now = time.monotonic()
        if ended:
            return "the emulator ended without the end mark" \
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
    settings = {
        "LAB_KVM": "kvm-amd",
        "LAB_HUGEPAGES": args.hugepages,
        "LAB_INTERACTIVE": "y" if args.interactive else "",
        "LAB_DISK": "/dev/pmem0" if args.disk else "",
    }
    initrd = hostimage.make(work, args.modules, args.payload, args.file,
                            args.command, settings)
    command = qemu_command(args, initrd, work)
    lost = irq_watch = None
    if watches_irqs(args):
        irq_watch = start_irq_watch(args, work)
    with open(f"{args.out}/qemu.log", "w", encoding="utf-8") as log:
        log.write(shlex.join(command) + "\n")
        log.flush()
        stdin = None if args.interactive else subprocess.DEVNULL
        stdout = None if args.interactive else log
        qemu = subprocess.Popen(command, stdin=stdin, stdout=stdout,
                                stderr=log, preexec_fn=placement(args))
        try:
            if args.interactive:
                qemu.wait()
                return PASS, None
            port = Port(f"{args.out}/port.raw", f"{args.out}/out.log")
            lost = watch(qemu, args, port)
        finally:
            if qemu.poll() is None:
                qemu.kill()
                qemu.wait()
            if irq_watch:
                irq_watch.wait()
    port.close()
    os.unlink(f"{args.out}/port.raw")
    return judge(args, port.code, lost)


def judge(args, code, lost):
    found = complaints(f"{args.out}/console.log")
    if found:
        hostimage.write(f"{args.out}/complaints", "\n".join(found) + "\n")
        print(f"lab/host: the host's kernel complained: {found[0]}",
              file=sys.stderr)
    if code is not None:
        hostimage.write(f"{args.out}/rc", f"{code}\n")
        return (FAIL if code or found else PASS), None
    # Where the run replays exactly, a kernel that died was killed by what
    # ran in it. Elsewhere the emulator is as likely.
    if args.mode in ("icount", "kvm") and \
            any(not STALL.search(line) for line in found):
        return FAIL, None
    return ERROR, lost


def prepare_out(args, argv):
    os.makedirs(args.out, exist_ok=True)
    for name in ("console.log", "out.log", "rc", "complaints", "qemu.log",
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
