/* The init protocol of `lab light` in C, as a program that is no shell would do it.
   The first argument says how to end: exit, return, spin. The second is the code. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <unistd.h>

int main(void)
{
    char args[256] = {0}, env[256] = {0}, verdict[32];
    int fd = open("/lab/args", O_RDONLY);
    if (read(fd, args, sizeof args - 1) < 0) return 1;
    close(fd);
    fd = open("/lab/env", O_RDONLY);
    if (read(fd, env, sizeof env - 1) < 0) return 1;
    close(fd);
    const char *how = args, *code = args + strlen(how) + 1;

    mount("dev", "/dev", "devtmpfs", 0, 0);
    printf("how=%s code=%s\n%s", how, code, env);
    fflush(stdout);
    if (!strcmp(how, "return")) return 0;
    if (!strcmp(how, "spin")) for (;;) ;

    snprintf(verdict, sizeof verdict, "LAB-EXIT %d\n", atoi(code));
    fd = open("/dev/ttyS1", O_WRONLY | O_NOCTTY);
    if (write(fd, verdict, strlen(verdict)) < 0) return 1;
    close(fd);
    reboot(RB_AUTOBOOT);
    return 1;
}
