// SPDX-License-Identifier: GPL-2.0
/* Planted defects, see plant.h.  Owns the descriptor of what is planted. */
#include "plant.h"

#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include <linux/io_uring.h>

const char *const plant_names[PLANTS] = {
	"none", "leak", "pin", "errno", "hang", "crash",
};

static int planted = -1;

enum plant plant_find(const char *name)
{
	int i;

	for (i = 0; i < PLANTS; i++)
		if (!strcmp(name, plant_names[i]))
			break;
	return i;
}

static int one_vm(void)
{
	int kvm = open("/dev/kvm", O_RDWR | O_CLOEXEC), vm;

	vm = ioctl(kvm, KVM_CREATE_VM, 0UL);
	close(kvm);
	return vm;
}

/* A buffer that is registered with io_uring is pinned until the ring goes. */
static int pinned_page(void)
{
	static char page[PAGE] __attribute__((aligned(PAGE)));
	struct iovec buffer = { page, PAGE };
	struct io_uring_params params = {};
	int ring = syscall(SYS_io_uring_setup, 1, &params);

	syscall(SYS_io_uring_register, ring, IORING_REGISTER_BUFFERS, &buffer, 1);
	return ring;
}

void plant_begin(enum plant plant)
{
	if (plant == PLANT_LEAK)
		planted = one_vm();
	if (plant == PLANT_PIN)
		planted = pinned_page();
}

void plant_end(void)
{
	if (planted >= 0)
		close(planted);
	planted = -1;
}

void plant_round(enum plant plant, struct shared *shared)
{
	struct round round = { .shared = shared };
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);

	switch (plant) {
	case PLANT_ERRNO:
		judge(&round, "KVM_RUN", "of /dev/null",
		      ioctl(null, KVM_RUN, 0) ? -errno : 0, OK);
		break;
	case PLANT_HANG:
		if (!fork())
			for (;;)
				pause();
		break;
	case PLANT_CRASH:
		raise(SIGSEGV);
		break;
	default:
		break;
	}
	close(null);
}
