# SPDX-License-Identifier: GPL-2.0
"""An emulated host under Bochs, which emulates VMX with EPT on any machine.

For lab/host.py, which knows when to start it and what to make of it. Bochs' time is
the number of its instructions, whatever the machine does; still no two runs are the
same to the instruction. It has one usable CPU, no virtio and no nvdimm; kernel and
initramfs come from a GRUB disc, a disk is an ATA disk.
"""

import os
import re
import shutil
import subprocess

# What the host's kernel needs beside KVM, and where it sees --disk.
MODULES = ["ata_piix", "sd_mod"]
DISK = "/dev/sda"

# Emulated instructions a second of the host's time. Bochs' TSC counts them too,
# while its CPUID speaks of 3.5 GHz, so the kernel is told.
MHZ = 100
DATE = 1767225600       # 2026-01-01
# A reset of the host ends Bochs, as -no-reboot ends QEMU.
KERNEL_WORDS = f"tsc=reliable tsc_early_khz={MHZ * 1000} no_timer_check reboot=t"

# What Bochs calls errors is each EPT violation and each unknown MSR: of use only to
# who looks for an error of Bochs', and then with LAB_BOCHS_ERRORS=y.
ERRORS = "report" if os.environ.get("LAB_BOCHS_ERRORS") else "ignore"

MODES = ("bochs",)

CONFIG = """
cpu: model=corei7_skylake_x, count=1, ips={ips}, reset_on_triple_fault=0
memory: guest={mem}, host={mem}
romimage: file=/usr/share/bochs/BIOS-bochs-latest, options=fastboot
vgaromimage: file=/usr/share/bochs/VGABIOS-lgpl-latest
ata0-master: type=cdrom, path={work}/host.iso, status=inserted
{disk}
boot: cdrom
display_library: rfb, options="timeout=0"
com1: enabled=1, mode=file, dev={out}/console.log
com2: enabled=1, {port}
clock: sync=none, time0={date}
sound: driver=dummy
log: -
panic: action=fatal
error: action={errors}
info: action=ignore
debug: action=ignore
"""
GRUB = """
set timeout=0
linux /vmlinuz {words}
initrd /initrd
boot
"""
# Only what reads a disc and starts Linux: the BIOS reads slowly.
GRUB_MODULES = "biosdisk iso9660 linux"

PANIC = re.compile(r">>PANIC<< (.*)")


def mode(_args):
    return MODES[0]


class Machine:
    """One Bochs process."""

    # With its one CPU Bochs has not been seen to kill a host's kernel: one that
    # died was killed by what ran in it.
    trusted = True

    def __init__(self, args, work):
        self.args, self.work = args, work
        self.process = None
        self.log = f"{args.out}/emulator.log"

    @staticmethod
    def refuse(args):
        """What of lab/host's options Bochs cannot do, in one sentence."""
        if args.cpus > 1:
            return "Bochs loses hosts with more than one CPU"
        if args.seed is not None:
            return "Bochs takes no seed; --seed has no meaning there"
        if args.interactive and not os.isatty(0):
            return "an interactive host under Bochs needs a terminal"
        return None

    def make_disc(self, kernel, initrd, words):
        tree = f"{self.work}/disc"
        os.makedirs(f"{tree}/boot/grub")
        shutil.copy(kernel, f"{tree}/vmlinuz")
        subprocess.run(["zstd", "-q", "-6", "-T0", initrd, "-o",
                        f"{tree}/initrd"], check=True)
        with open(f"{tree}/boot/grub/grub.cfg", "w", encoding="ascii") as f:
            f.write(GRUB.format(words=words))
        made = subprocess.run(
            ["grub-mkrescue", "--locales=", "--fonts=", "--themes=",
             f"--install-modules={GRUB_MODULES}", "-o", f"{self.work}/host.iso",
             tree], capture_output=True, text=True, check=False,
            # The same disc each time; its date is its name to GRUB.
            env={**os.environ, "SOURCE_DATE_EPOCH": str(DATE)})
        shutil.rmtree(tree)
        if made.returncode:
            raise OSError(f"grub-mkrescue failed: {made.stderr[-300:]}")

    def config(self):
        args = self.args
        disk, port = "", f"mode=file, dev={args.out}/port.raw"
        if args.disk:
            # What is written goes to a file of its own, and away with it.
            disk = (f"ata1-master: type=disk, path={args.disk}, mode=volatile, "
                    f"journal={self.work}/journal")
        if args.interactive:
            port = f"mode=term, dev={os.ttyname(0)}"
        return CONFIG.format(ips=MHZ * 1000000, date=DATE, errors=ERRORS,
                             mem=args.mem, work=self.work, out=args.out,
                             disk=disk, port=port)

    def start(self, kernel, initrd, words):
        self.make_disc(kernel, initrd, words)
        rc = f"{self.work}/bochsrc"
        with open(rc, "w", encoding="utf-8") as f:
            f.write(self.config())
        with open(self.log, "w", encoding="utf-8") as log:
            log.write(self.config())
            log.flush()
            # Its display is a port of the network, which nobody is to reach.
            self.process = subprocess.Popen(
                ["unshare", "--net", "bochs-bin", "-q", "-f", rc],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log)

    def ended(self):
        return self.process.poll() is not None

    def wait(self):
        self.process.wait()

    def fault(self):
        """What Bochs says it ended for."""
        with open(self.log, encoding="utf-8", errors="replace") as f:
            found = PANIC.findall(f.read())
        return found[-1] if found else "it did not say why"

    def stop(self):
        if self.process and not self.ended():
            self.process.kill()
            self.process.wait()
