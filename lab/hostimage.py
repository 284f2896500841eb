# SPDX-License-Identifier: GPL-2.0
"""Make the initramfs of an emulated host (L1).

Everything a host needs is in its initramfs: no shared file system and no disk
completes at a time of the machine's choosing, so that a deterministic run
stays one. Runs inside the Debian root.

The archive has parts. Those that are the same for every run, busybox and, for
hosts that run guests, QEMU with its libraries, are kept in build/lab/host. The last
(init, modules, payload, command) is made for each run.
"""

import fcntl
import hashlib
import lzma
import os
import shlex
import shutil
import subprocess

TOP = "/kvm-xen"
CACHE = f"{TOP}/build/lab/host"
MARK = "/etc/kvm-xen-lab"

KVM_MODULES = ["kvm", "kvm-amd", "kvm-intel"]

# Part of the archive -> its programs, and QEMU's firmware.
PROGRAMS = {
    "base": ["/usr/bin/busybox"],
    "guest": ["/usr/bin/qemu-system-x86_64"],
}
FIRMWARE = [
    "/usr/share/seabios/bios-256k.bin",
    "/usr/share/qemu/kvmvapic.bin",
    "/usr/share/qemu/linuxboot_dma.bin",
    "/usr/share/qemu/multiboot_dma.bin",
    "/usr/share/qemu/pvh.bin",
    # Named without a directory by QEMU, found through this one.
    "/usr/share/qemu/bios-256k.bin",
]
DIRECTORIES = [
    "dev", "proc", "sys", "tmp", "run", "root", "payload", "lab", "etc",
    "usr/bin", "usr/sbin", "usr/lib", "usr/lib64", "var/tmp",
]
LINKS = {"bin": "usr/bin", "sbin": "usr/sbin", "lib": "usr/lib",
         "lib64": "usr/lib64"}


class ImageError(Exception):
    """What keeps the image from being made, in one sentence."""


def digest(*parts):
    h = hashlib.sha256()
    for part in parts:
        h.update(part if isinstance(part, bytes) else part.encode())
        h.update(b"\0")
    return h.hexdigest()[:16]


def contents(path):
    with open(path, "rb") as f:
        return f.read()


class Kernel:
    """A kernel that hosts boot: the package's, or one that lab/kernel built.

    vmlinuz    its image
    base       what has its modules in lib/modules/RELEASE
    release    its release
    kvm        has KVM's three modules for it in ours/ and stock/, and in the
               file release what they were built for
    """

    def __init__(self, name):
        self.name = name
        if name == "debian":
            self.base, self.kvm = "", f"{TOP}/build/modules"
            self.release = self._release_of_root()
            self.vmlinuz = f"/boot/vmlinuz-{self.release}"
            return
        self.base, self.kvm = (f"{TOP}/build/kernel/{name}",
                               f"{TOP}/build/modules/{name}")
        try:
            self.release = contents(f"{self.base}/release").decode().strip()
        except FileNotFoundError as e:
            raise ImageError(f"kernel {name} is not built") from e
        self.vmlinuz = f"{self.base}/vmlinuz"

    @staticmethod
    def _release_of_root():
        """Release of the one kernel in the root."""
        found = [n[len("vmlinuz-"):] for n in os.listdir("/boot")
                 if n.startswith("vmlinuz-")]
        if len(found) != 1:
            raise ImageError(f"the root holds {len(found)} kernels instead "
                             "of one")
        return found[0]

    @property
    def modules(self):
        return f"{self.base}/lib/modules/{self.release}"

    def needs(self, names):
        """Paths of modules, and before each what it depends on."""
        paths = []
        for name in names:
            out = subprocess.run(["modprobe", "-S", self.release,
                                  "--show-depends", name] +
                                 (["-d", self.base] if self.base else []),
                                 capture_output=True, text=True, check=False)
            if out.returncode:
                raise ImageError(f"kernel {self.release} has no module {name}")
            for line in out.stdout.splitlines():
                word = line.split()
                if word[0] == "insmod" and word[1] not in paths:
                    paths.append(word[1])
        return paths

    def kvm_modules(self, which):
        """Directory of the chosen set of KVM's modules."""
        path = f"{self.kvm}/{which}"
        what = f"the {which} modules for kernel {self.name}"
        if not all(os.path.exists(f"{path}/{m}.ko") for m in KVM_MODULES):
            raise ImageError(f"{what} are not built; run make first")
        built_for = contents(f"{self.kvm}/release").decode().strip()
        if built_for != self.release:
            raise ImageError(f"{what} were built for {built_for}, and it is "
                             f"now {self.release}; run make again")
        return path


def is_elf(path):
    if os.path.islink(path) or not os.path.isfile(path):
        return False
    with open(path, "rb") as f:
        return f.read(4) == b"\x7fELF"


def libraries(paths):
    """Shared libraries that dynamically linked programs among paths need."""
    found = set()
    for path in paths:
        out = subprocess.run(["ldd", path], capture_output=True, text=True,
                             check=False)
        for line in out.stdout.splitlines():
            if "not found" in line:
                raise ImageError(f"{path} needs {line.split()[0]}, "
                                 "which the root does not have")
            for word in line.split():
                if word.startswith("/"):
                    found.add(word)
    return sorted(found)


def put(stage, source, path=None):
    """Copy a file of the root into the stage, under its own name."""
    target = stage + os.path.realpath(os.path.dirname(path or source)) + \
        "/" + os.path.basename(path or source)
    if not os.path.exists(target):
        os.makedirs(os.path.dirname(target), exist_ok=True)
        shutil.copy(os.path.realpath(source), target)


def pack(stage, output):
    """Write stage as a cpio archive, the same bytes for the same contents."""
    names = []
    for where, dirs, files in os.walk(stage):
        for name in dirs + files:
            path = os.path.join(where, name)
            os.utime(path, (0, 0), follow_symlinks=False)
            names.append(os.path.relpath(path, stage))
    with open(output, "wb") as f:
        subprocess.run(["cpio", "--quiet", "--null", "--reproducible", "-o",
                        "-H", "newc", "-R", "0:0"], cwd=stage, stdout=f,
                       input="\0".join(sorted(names)).encode() + b"\0",
                       check=True)
    shutil.rmtree(stage)


def kept_part(work, part):
    """Path of a part that is the same for every run; made when missing."""
    key = digest(contents(MARK), contents(__file__))
    path = f"{CACHE}/{part}-{key}.cpio"
    os.makedirs(CACHE, exist_ok=True)
    with open(f"{CACHE}/lock", "w", encoding="ascii") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not os.path.exists(path):
            make_part(work, part, path)
    return path


def make_part(work, part, path):
    stage = f"{work}/{part}"
    for name in DIRECTORIES:
        os.makedirs(f"{stage}/{name}")
    for name, target in LINKS.items():
        os.symlink(target, f"{stage}/{name}")
    for path_in_root in PROGRAMS[part] + libraries(PROGRAMS[part]):
        put(stage, path_in_root)
    for firmware in FIRMWARE if part == "guest" else []:
        source = firmware
        if not os.path.exists(source):
            source = "/usr/share/seabios/" + os.path.basename(firmware)
        put(stage, source, firmware)

    pack(stage, f"{work}/part.cpio")
    for old in os.listdir(CACHE):
        if old.startswith(f"{part}-"):
            os.unlink(f"{CACHE}/{old}")
    # The copy may be cut short, the rename not.
    temporary = f"{CACHE}/{part}-new.{os.getpid()}"
    shutil.copyfile(f"{work}/part.cpio", temporary)
    os.rename(temporary, path)


def put_modules(stage, kernel, names, which):
    """The kernel's modules; the three of KVM from the chosen set."""
    kvm = kernel.kvm_modules(which)
    base = f"{stage}/usr/lib/modules/{kernel.release}"
    for path in kernel.needs(names):
        name = os.path.basename(path).removesuffix(".xz").removesuffix(".ko")
        target = os.path.dirname(path).replace(kernel.modules, base, 1)
        os.makedirs(target, exist_ok=True)
        if name in KVM_MODULES:
            data = contents(f"{kvm}/{name}.ko")
        elif path.endswith(".xz"):
            data = lzma.decompress(contents(path))
        else:
            data = contents(path)
        with open(f"{target}/{name}.ko", "wb") as f:
            f.write(data)
    for name in ("modules.order", "modules.builtin", "modules.builtin.modinfo"):
        shutil.copy(f"{kernel.modules}/{name}", base)
    subprocess.run(["depmod", "-b", stage, kernel.release], check=True)


def put_payload(stage, directories, files):
    """Directories merged, and single files under a name each."""
    for directory in directories:
        if not os.path.isdir(directory):
            raise ImageError(f"payload {directory} is not a directory")
        shutil.copytree(directory, f"{stage}/payload", symlinks=True,
                        dirs_exist_ok=True)
    for source, name in files:
        shutil.copy(source, f"{stage}/payload/{name}")
    programs = []
    for where, _, names in os.walk(f"{stage}/payload"):
        for name in names:
            path = os.path.join(where, name)
            if is_elf(path) and os.access(path, os.X_OK) and \
                    not name.endswith(".ko"):
                programs.append(path)
    for library in libraries(programs):
        put(stage, library)


def write(path, text, mode=0o644):
    with open(path, "w", encoding="utf-8") as f:
        f.write(text)
    os.chmod(path, mode)


def make(work, kernel, modules, args, settings):
    """Make the whole initramfs in directory work; return its path.

    @modules: what the host loads; @args: of lab/host, which KVM, what payload
    and what command.
    """
    parts = [kept_part(work, "base")]
    if args.guest or args.interactive:
        parts.append(kept_part(work, "guest"))
    stage = f"{work}/run"
    for name in ("payload", "lab"):
        os.makedirs(f"{stage}/{name}")
    os.makedirs(f"{stage}/usr/lib")
    os.symlink(LINKS["lib"], f"{stage}/lib")    # where depmod looks
    put_modules(stage, kernel, modules, args.modules)
    put_payload(stage, args.payload, args.file)
    shutil.copy(f"{TOP}/lab/init", f"{stage}/init")
    os.chmod(f"{stage}/init", 0o755)
    write(f"{stage}/lab/command", "exec " + shlex.join(args.command) + "\n")
    write(f"{stage}/lab/settings",
          "".join(f"{k}={shlex.quote(str(v))}\n" for k, v in settings.items()))
    pack(stage, f"{work}/run.cpio")
    with open(f"{work}/initrd", "wb") as out:
        for part in parts + [f"{work}/run.cpio"]:
            with open(part, "rb") as f:
                shutil.copyfileobj(f, out)
    os.unlink(f"{work}/run.cpio")
    return f"{work}/initrd"
