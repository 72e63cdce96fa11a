#include "cli/command.h"

#include <malloc.h>

#define LARGE_BYTES (1 << 20)

int main(int argc, char **argv)
{
    /* What was taken for a large value goes back to the system when it is freed, from any thread: by itself the allocator
     * would begin to keep blocks of up to 32 MiB, and as much again in each thread. */
    mallopt(M_MMAP_THRESHOLD, LARGE_BYTES);
    return gw_cli_main(argc, argv);
}
