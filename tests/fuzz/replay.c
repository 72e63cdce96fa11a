/*
 * Runs a fuzz target over its corpus without libFuzzer, so that what was once found stays found in every test run.
 *
 *     replay-NAME FOLDER...
 *
 * Each file goes in as it is, cut off at many places, and with single bytes changed (the same ones every time). The
 * target aborts on what must not be. Without a single file in the folders that is a failure: nothing was tested.
 */
#include <dirent.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { LARGEST_BYTES = 1 << 20, CUTS = 64, CHANGES = 200, PATH_BYTES = 4096 };

static unsigned long inputs;
static uint64_t dice = 0x9e3779b97f4a7c15u;

static uint64_t roll(void)
{
    dice ^= dice << 13;
    dice ^= dice >> 7;
    dice ^= dice << 17;
    return dice;
}

/* A copy of exactly this size, so that a sanitizer sees a read behind its end. */
static void feed(const uint8_t *data, size_t size)
{
    uint8_t *exact = malloc(size ? size : 1);
    if (!exact)
        abort();
    memcpy(exact, data, size);
    (void)LLVMFuzzerTestOneInput(exact, size);
    free(exact);
    inputs++;
}

static void feed_variants(uint8_t *data, size_t size)
{
    static const uint8_t telling[] = {0x00, 0x01, 0x7f, 0x80, 0xff, '\n', '"', '{'};
    feed(data, size);
    for (size_t i = 0; i < CUTS && size; i++)
        feed(data, (size_t)(roll() % size));
    for (size_t i = 0; i < CHANGES && size; i++) {
        size_t at = (size_t)(roll() % size);
        uint8_t kept = data[at];
        data[at] = telling[roll() % sizeof telling];
        feed(data, size);
        data[at] = kept;
    }
}

static bool replay_file(const char *path)
{
    static uint8_t data[LARGEST_BYTES];
    FILE *in = fopen(path, "rb");
    if (!in) {
        perror(path);
        return false;
    }
    size_t size = fread(data, 1, sizeof data, in);
    bool ok = !ferror(in) && feof(in);
    fclose(in);
    if (!ok)
        fprintf(stderr, "%s: cannot be read, or is larger than %d bytes\n", path, LARGEST_BYTES);
    else
        feed_variants(data, size);
    return ok;
}

static long replay_folder(const char *folder)
{
    char path[PATH_BYTES];
    struct stat is;
    long files = 0;
    DIR *dir = opendir(folder);
    if (!dir) {
        perror(folder);
        return -1;
    }
    for (struct dirent *entry; (entry = readdir(dir)); files++) {
        snprintf(path, sizeof path, "%s/%s", folder, entry->d_name);
        if (entry->d_name[0] == '.' || stat(path, &is) != 0 || !S_ISREG(is.st_mode))
            files--;
        else if (!replay_file(path))
            files = -1000000;
    }
    closedir(dir);
    return files;
}

int main(int argc, char **argv)
{
    long files = 0;
    for (int i = 1; i < argc; i++) {
        long found = replay_folder(argv[i]);
        if (found < 0)
            return 1;
        files += found;
    }
    printf("%ld files, %lu inputs\n", files, inputs);
    return files > 0 ? 0 : 1;
}
