// enter PID COMMAND...: runs COMMAND in all namespaces of the process PID and passes on its exit status.
//
// Not nsenter: that stops itself when its child is stopped, and systemd stops every process of a node that shuts
// down. The node would wait for it and never finish dying.
#define _GNU_SOURCE
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

enum { CANNOT_ENTER = 125, CANNOT_RUN = 127, KILLED_BY_SIGNAL = 128 };

static int fail(const char *what, int status) {
	perror(what);
	return status;
}

int main(int argc, char **argv) {
	if (argc < 3) {
		fprintf(stderr, "usage: enter PID COMMAND...\n");
		return 2;
	}
	int target = syscall(SYS_pidfd_open, atoi(argv[1]), 0);
	int all = CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWNET | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWCGROUP;
	if (target < 0 || setns(target, all) || chdir("/"))
		return fail("enter", CANNOT_ENTER);

	// Only a child is in the new pid namespace.
	pid_t child = fork();
	if (child < 0)
		return fail("fork", CANNOT_ENTER);
	if (child == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		execvp(argv[2], argv + 2);
		_exit(fail(argv[2], CANNOT_RUN));
	}
	int status;
	while (waitpid(child, &status, 0) != child) {
	}
	return WIFEXITED(status) ? WEXITSTATUS(status) : KILLED_BY_SIGNAL + WTERMSIG(status);
}
