/* The floor of dispatch: starts PROGRAM COUNT times with posix_spawn, WIDTH at a time, and nothing else. No queue, no record
 * of what was done, no log. Leaves with 1 if a start or one of the programs failed.
 *
 * usage: bare COUNT WIDTH PROGRAM */
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

extern char **environ;

int main(int argc, char **argv) {
    if (argc != 4) {
        fprintf(stderr, "usage: %s COUNT WIDTH PROGRAM\n", argv[0]);
        return 2;
    }
    long left = atol(argv[1]);
    long free_slots = atol(argv[2]);
    long running = 0;
    char *arguments[] = {argv[3], NULL};

    while (left > 0 || running > 0) {
        while (left > 0 && free_slots > 0) {
            pid_t pid;
            int error = posix_spawn(&pid, argv[3], NULL, NULL, arguments, environ);
            if (error != 0) {
                fprintf(stderr, "%s: %s\n", argv[3], strerror(error));
                return 1;
            }
            left--, free_slots--, running++;
        }
        int status;
        if (waitpid(-1, &status, 0) < 0 || status != 0) {
            fprintf(stderr, "%s failed\n", argv[3]);
            return 1;
        }
        free_slots++, running--;
    }
    return 0;
}
