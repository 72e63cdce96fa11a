#include "base/hash.h"
#include "store/lens/internal.h"

#include <pthread.h>

#define LARGE 0x7f /* no kind of a datum */
#define BEGINNING_BYTES 40u

static pthread_once_t seeded = PTHREAD_ONCE_INIT;
static uint64_t seed;

static void make_seed(void)
{
    seed = gw_random64();
}

void lens_value_write(struct gw_buf *out, const struct gw_datum *datum, bool key)
{
    if (key || !gw_kind_has_bytes(datum->kind) || datum->len <= GW_LENS_LARGE_BYTES) {
        gw_datum_write(out, datum);
        return;
    }
    pthread_once(&seeded, make_seed);
    struct gw_hash128 hash = gw_hash128(datum->bytes, datum->len, seed);
    gw_buf_addc(out, LARGE);
    gw_buf_addc(out, (char)datum->kind);
    gw_buf_put32(out, datum->len);
    gw_buf_put64(out, hash.high);
    gw_buf_put64(out, hash.low);
    gw_buf_add(out, datum->bytes, BEGINNING_BYTES);
}

static void print_large(struct gw_cursor *in, struct gw_buf *out)
{
    enum gw_kind kind = gw_cursor_u8(in);
    uint32_t len = gw_cursor_u32(in);
    uint64_t high = gw_cursor_u64(in), low = gw_cursor_u64(in);
    const unsigned char *bytes = gw_cursor_bytes(in, BEGINNING_BYTES);
    if (!bytes)
        return;
    struct gw_datum beginning = gw_datum_of_bytes(kind == GW_KIND_TEXT ? kind : GW_KIND_BYTES, bytes, BEGINNING_BYTES);
    while (kind == GW_KIND_TEXT && beginning.len && (bytes[beginning.len - 1] & 0xc0) == 0x80)
        beginning.len--; /* no part of a character */
    if (kind == GW_KIND_TEXT && beginning.len && bytes[beginning.len - 1] >= 0xc0)
        beginning.len--;
    gw_buf_addf(out, "(%u bytes, ", len);
    gw_datum_print(&beginning, out);
    gw_buf_addf(out, "..., hash %016llx%016llx)", (unsigned long long)high, (unsigned long long)low);
}

void lens_value_print(const struct gw_value *value, struct gw_buf *out)
{
    struct gw_cursor in = gw_cursor_of(value->bytes, value->len);
    if (value->len && value->bytes[0] == LARGE) {
        gw_cursor_u8(&in);
        print_large(&in, out);
        return;
    }
    struct gw_datum datum = gw_datum_read(&in);
    gw_datum_print(&datum, out);
}
