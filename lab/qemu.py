# SPDX-License-Identifier: GPL-2.0
"""An emulated host under QEMU: TCG, or KVM where this machine can nest.

For lab/host.py, which knows when to start it and what to make of it.
"""

import fcntl
import os
import shlex
import subprocess

# What the host's kernel needs beside KVM, and where it sees --disk.
MODULES = ["nfit", "nd_pmem"]
DISK = "/dev/pmem0"
KERNEL_WORDS = ""

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

MODES = {
    "icount": ["-accel", "tcg,thread=single",
               "-icount", "shift=0,sleep=off",
               "-rtc", "base=2026-01-01,clock=vm"],
    "single": ["-accel", "tcg,thread=single"],
    "multi": ["-accel", "tcg,thread=multi"],
    "kvm": ["-accel", "kvm"],
}

KVM_CREATE_VM = 0xAE01


def real_nesting(kvm):
    """Can this machine run a host under KVM that itself loads module @kvm?

    A /dev/kvm alone says nothing: it may come from a machine that cannot nest.
    """
    flag = {"kvm-amd": " svm", "kvm-intel": " vmx"}[kvm]
    with open("/proc/cpuinfo", encoding="ascii", errors="replace") as f:
        if flag not in f.read():
            return False
    try:
        name = kvm.replace("-", "_")
        with open(f"/sys/module/{name}/parameters/nested",
                  encoding="ascii") as f:
            if f.read().strip() not in ("1", "Y"):
                return False
        with open("/dev/kvm", "rb+", buffering=0) as device:
            os.close(fcntl.ioctl(device, KVM_CREATE_VM, 0))
    except OSError:
        return False
    return True


def mode(args):
    """The mode that is best for what the host has to do."""
    return "multi" if args.guest or args.interactive else "icount"


class Machine:
    """One QEMU process."""

    def __init__(self, args, work):
        self.args, self.work = args, work
        self.process = self.irq_watch = None
        # Where the run replays exactly, a kernel that died was killed by
        # what ran in it. Elsewhere the emulator is as likely.
        self.trusted = args.mode in ("icount", "kvm")

    @staticmethod
    def refuse(_args):
        """What of lab/host's options QEMU cannot do: nothing."""

    def watches_irqs(self):
        args = self.args
        return args.guest and args.mode != "kvm" and not args.interactive

    def placement(self):
        """Where QEMU's threads may run, as a hook for the child.

        The threads of mode multi lose guests to each other when they truly run
        at the same time. On one processor they take turns, without being kicked
        out of guest mode for it as the one thread of mode single is.
        """
        if self.args.mode != "multi" or not self.args.guest:
            return None
        cpu = max(os.sched_getaffinity(0))
        return lambda: os.sched_setaffinity(0, {cpu})

    def start_irq_watch(self):
        """Run the filter over QEMU's log of interrupts; return its process."""
        os.mkfifo(f"{self.work}/interrupts")
        with open(f"{self.args.out}/twice", "w", encoding="ascii") as out:
            return subprocess.Popen(["awk", TWICE, f"{self.work}/interrupts"],
                                    stdout=out)

    def command(self, kernel, initrd, words):
        args = self.args
        cpu = "host" if args.mode == "kvm" else \
            "EPYC-Milan,+svm,+npt,-rdrand,-rdseed"
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
        if self.watches_irqs():
            watch_irqs = ["-d", "int", "-D", f"{self.work}/interrupts"]
        port = ["-chardev", f"file,id=port,path={args.out}/port.raw"]
        if args.interactive:
            port = ["-chardev", "stdio,id=port,signal=off"]
        return (["qemu-system-x86_64", "-nodefaults", "-no-user-config",
                 "-no-reboot", "-display", "none", "-machine", machine,
                 "-cpu", cpu, "-smp", str(args.cpus), "-m", memory,
                 "-seed", str(args.seed or 1)] + MODES[args.mode] + watch_irqs +
                disk + ["-kernel", kernel, "-initrd", initrd, "-append", words,
                        "-serial", f"file:{args.out}/console.log"] + port +
                ["-serial", "chardev:port"])

    def start(self, kernel, initrd, words):
        command = self.command(kernel, initrd, words)
        if self.watches_irqs():
            self.irq_watch = self.start_irq_watch()
        with open(f"{self.args.out}/emulator.log", "w", encoding="utf-8") as log:
            log.write(shlex.join(command) + "\n")
            log.flush()
            interactive = self.args.interactive
            self.process = subprocess.Popen(
                command, stdin=None if interactive else subprocess.DEVNULL,
                stdout=None if interactive else log, stderr=log,
                preexec_fn=self.placement())

    def ended(self):
        return self.process.poll() is not None

    def wait(self):
        self.process.wait()

    def fault(self):
        """What QEMU says it ended for."""
        with open(f"{self.args.out}/emulator.log", encoding="utf-8",
                  errors="replace") as f:
            said = [line for line in f if "warning:" not in line][1:]
        return said[-1].strip() if said else "it did not say why"

    def stop(self):
        if self.process and not self.ended():
            self.process.kill()
            self.process.wait()
        if self.irq_watch:
            self.irq_watch.wait()
