/* Canonical values: the calendar over its whole range, texts both ways, arrays, the flat form. */
#include "gw_test.h"

#include "model/datum.h"

#include <math.h>

/* ---- calendar ------------------------------------------------------------------------------------------------------- */

static bool is_leap(int64_t year)
{
    return (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
}

static unsigned month_length(int64_t year, unsigned month)
{
    if (month == 2)
        return is_leap(year) ? 29 : 28;
    return month == 4 || month == 6 || month == 9 || month == 11 ? 30 : 31;
}

static void check_day(int64_t days, int64_t year, unsigned month, unsigned day)
{
    int64_t got_year;
    unsigned got_month, got_day;
    gw_civil_from_days(days, &got_year, &got_month, &got_day);
    if (got_year != year || got_month != month || got_day != day || gw_days_from_civil(year, month, day) != days) {
        print_error("%lld is %lld-%u-%u, not %lld-%u-%u\n", (long long)days, (long long)got_year, got_month, got_day,
                    (long long)year, month, day);
        fail();
    }
}

/* Counted day by day from 2000-01-01 both ways, with nothing but the lengths of months. In far years only the first and
 * the last day of each month is looked at. */
static void every_day_of_the_calendar_has_its_number(void **state)
{
    (void)state;
    int64_t first = 0;
    for (int64_t year = 2000; year <= 300000; year++)
        for (unsigned month = 1; month <= 12; month++) {
            unsigned length = month_length(year, month);
            for (unsigned day = 1; day <= length; day += year < 4000 || day == length ? 1 : length - 1)
                check_day(first + day - 1, year, month, day);
            first += length;
        }
    first = 0;
    for (int64_t year = 1999; year >= -6000; year--)
        for (unsigned month = 12; month >= 1; month--) {
            unsigned length = month_length(year, month);
            first -= length;
            for (unsigned day = 1; day <= length; day++)
                check_day(first + day - 1, year, month, day);
        }
}

static void known_days_have_known_numbers(void **state)
{
    (void)state;
    check_day(0, 2000, 1, 1);
    check_day(-10957, 1970, 1, 1);
    check_day(-2451545, -4713, 11, 24); /* Julian day 0 */
    check_day(59, 2000, 2, 29);
    check_day(-730119, 1, 1, 1);
    check_day(-730485, 0, 1, 1);
    check_day(2921939, 9999, 12, 31);
    assert_true(gw_civil_exists(2000, 2, 29));
    assert_true(gw_civil_exists(-4, 2, 29));
    assert_true(gw_civil_exists(0, 2, 29));
    assert_false(gw_civil_exists(1900, 2, 29));
    assert_false(gw_civil_exists(2001, 2, 29));
    assert_false(gw_civil_exists(2001, 0, 1));
    assert_false(gw_civil_exists(2001, 13, 1));
    assert_false(gw_civil_exists(2001, 4, 31));
    assert_false(gw_civil_exists(2001, 4, 0));
}

/* ---- texts ---------------------------------------------------------------------------------------------------------- */

static void dates_are_written_and_read(void **state)
{
    (void)state;
    static const struct {
        int64_t days;
        const char *text;
    } cases[] = {
        {0, "2000-01-01"},        {-1, "1999-12-31"},       {59, "2000-02-29"},       {-730485, "0000-01-01"},
        {-730486, "-0001-12-31"}, {-746482, "-0044-03-15"}, {2921940, "10000-01-01"}, {-2451545, "-4713-11-24"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        gw_autobuf struct gw_buf out = {0};
        int64_t back = 7;
        gw_date_print(cases[i].days, &out);
        assert_string_equal(gw_buf_text(&out), cases[i].text);
        assert_true(gw_date_parse(out.data, out.len, &back));
        assert_int_equal(back, cases[i].days);
    }
    gw_autobuf struct gw_buf out = {0};
    gw_date_print(GW_DATUM_FOREVER, &out);
    gw_buf_addc(&out, ' ');
    gw_timestamp_print(-GW_DATUM_FOREVER, ' ', -1, &out);
    assert_string_equal(gw_buf_text(&out), "infinity -infinity");
}

static void what_is_no_date_is_not_read(void **state)
{
    (void)state;
    static const char *const wrong[] = {"",           "0000-00-00", "2024-02-31",       "2024-00-01",  "2024-13-01",
                                        "2023-02-29", "2024-1-01",  "2024-01-1",        "2024-01-01x", " 2024-01-01",
                                        "999-01-01",  "2024/01/01", "1234567890-01-01", "infinity",    "--2024-01-01"};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        int64_t days = 42, us = 43;
        assert_false(gw_date_parse(wrong[i], strlen(wrong[i]), &days));
        assert_int_equal(days, 42);
        gw_autobuf struct gw_buf text = {0};
        gw_buf_addf(&text, "%s 00:00:00", wrong[i]);
        assert_false(gw_timestamp_parse(text.data, text.len, &us));
        assert_int_equal(us, 43);
    }
}

static void times_are_written_and_read(void **state)
{
    (void)state;
    static const struct {
        int64_t us;
        int digits;
        const char *text;
    } cases[] = {
        {0, -1, "00:00:00"},
        {1, -1, "00:00:00.000001"},
        {-1, -1, "-00:00:00.000001"},
        {INT64_C(3020399000000), -1, "838:59:59"},
        {INT64_C(-3020399000001), -1, "-838:59:59.000001"},
        {INT64_C(86400000000), 0, "24:00:00"},
        {INT64_C(45000120000), -1, "12:30:00.12"},
        {INT64_C(45000120000), 3, "12:30:00.120"},
        {INT64_C(45000120000), 6, "12:30:00.120000"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        gw_autobuf struct gw_buf out = {0};
        int64_t back = 7;
        gw_time_print(cases[i].us, cases[i].digits, &out);
        assert_string_equal(gw_buf_text(&out), cases[i].text);
        assert_true(gw_time_parse(out.data, out.len, &back));
        assert_int_equal(back, cases[i].us);
    }
    static const char *const wrong[] = {
        "",         "12:30",     "12:60:00",   "12:00:60", "12:00:00.", "12:00:00.1234567",
        "1x:00:00", "12:00:00 ", "--12:00:00", "12:0:00"};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        int64_t us = 42;
        assert_false(gw_time_parse(wrong[i], strlen(wrong[i]), &us));
        assert_int_equal(us, 42);
    }
}

static void timestamps_are_written_and_read(void **state)
{
    (void)state;
    static const struct {
        int64_t us;
        int digits;
        const char *text;
    } cases[] = {
        {0, 0, "2000-01-01 00:00:00"},
        {-1, -1, "1999-12-31 23:59:59.999999"},
        {INT64_C(762525000123456), -1, "2024-02-29 12:30:00.123456"},
        {INT64_C(762525000123400), -1, "2024-02-29 12:30:00.1234"},
        {INT64_C(762525000120000), 3, "2024-02-29 12:30:00.120"},
        {INT64_C(-211813488000000000), -1, "-4713-11-24 00:00:00"},
        {INT64_C(9223371331199999999), -1, "294276-12-31 23:59:59.999999"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        for (int iso = 0; iso < 2; iso++) {
            gw_autobuf struct gw_buf out = {0};
            int64_t back = 7;
            gw_timestamp_print(cases[i].us, iso ? 'T' : ' ', cases[i].digits, &out);
            if (!iso)
                assert_string_equal(gw_buf_text(&out), cases[i].text);
            assert_true(gw_timestamp_parse(out.data, out.len, &back));
            assert_int_equal(back, cases[i].us);
        }
    static const char *const wrong[] = {"2024-02-29",          "2024-02-29 24:00:00",    "2024-02-29 123:00:00",
                                        "2024-02-29_12:30:00", "2024-02-29 12:30:00+00", "999999999-01-01 00:00:00",
                                        "2024-02-29 1:30:00"};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        int64_t us = 42;
        assert_false(gw_timestamp_parse(wrong[i], strlen(wrong[i]), &us));
        assert_int_equal(us, 42);
    }
}

/* ---- data ----------------------------------------------------------------------------------------------------------- */

static struct gw_datum of_float(uint64_t bits)
{
    struct gw_datum datum = {.kind = GW_KIND_FLOAT64};
    memcpy(&datum.f64, &bits, sizeof bits);
    return datum;
}

static struct gw_datum of_int(enum gw_kind kind, int64_t value)
{
    return (struct gw_datum){.kind = kind, .i64 = value};
}

/* No two of these are equal. */
static size_t make_samples(struct gw_datum *out)
{
    size_t n = 0;
    static const unsigned char uuid[16] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16};
    out[n++] = gw_datum_null();
    out[n++] = (struct gw_datum){.kind = GW_KIND_UNCHANGED};
    out[n++] = (struct gw_datum){.kind = GW_KIND_ABSENT};
    out[n++] = (struct gw_datum){.kind = GW_KIND_BOOL, .boolean = true};
    out[n++] = (struct gw_datum){.kind = GW_KIND_BOOL, .boolean = false};
    out[n++] = of_int(GW_KIND_INT64, INT64_MIN);
    out[n++] = of_int(GW_KIND_INT64, -1);
    out[n++] = (struct gw_datum){.kind = GW_KIND_UINT64, .u64 = UINT64_MAX};
    out[n++] = gw_datum_of_bytes(GW_KIND_DECIMAL, "-1.00", 5);
    out[n++] = gw_datum_of_bytes(GW_KIND_DECIMAL, "-1.0", 4);
    out[n++] = (struct gw_datum){.kind = GW_KIND_FLOAT32, .f32 = -0.0F};
    out[n++] = (struct gw_datum){.kind = GW_KIND_FLOAT32, .f32 = 0.0F};
    out[n++] = of_float(UINT64_C(0x7ff8000000000001));
    out[n++] = of_float(UINT64_C(0x7ff8000000000002));
    out[n++] = of_float(UINT64_C(0x8000000000000000));
    out[n++] = of_float(0);
    out[n++] = gw_datum_text("");
    out[n++] = gw_datum_text("NULL");
    out[n++] = gw_datum_of_bytes(GW_KIND_TEXT, "a\0b", 3);
    out[n++] = gw_datum_of_bytes(GW_KIND_TEXT, "a\0c", 3);
    out[n++] = gw_datum_of_bytes(GW_KIND_BYTES, "NULL", 4);
    out[n++] = of_int(GW_KIND_DATE, 59);
    out[n++] = gw_datum_of_bytes(GW_KIND_DATE, "0000-00-00", 10);
    out[n++] = of_int(GW_KIND_TIME, 59);
    out[n++] = of_int(GW_KIND_TIMESTAMP, 59);
    out[n++] = gw_datum_of_bytes(GW_KIND_TIMESTAMP, "0000-00-00 00:00:00", 19);
    out[n++] = of_int(GW_KIND_TIMESTAMPTZ, 59);
    out[n++] = of_int(GW_KIND_TIMESTAMPTZ, GW_DATUM_FOREVER);
    out[n++] = (struct gw_datum){.kind = GW_KIND_INTERVAL, .interval = {1, 0, 0}};
    out[n++] = (struct gw_datum){.kind = GW_KIND_INTERVAL, .interval = {0, 30, 0}};
    out[n++] = (struct gw_datum){.kind = GW_KIND_INTERVAL, .interval = {-1, -30, -1}};
    out[n++] = gw_datum_of_bytes(GW_KIND_UUID, uuid, 16);
    out[n++] = gw_datum_of_bytes(GW_KIND_JSON, "{}", 2);
    out[n++] = gw_datum_of_bytes(GW_KIND_ENUM, "{}", 2);
    out[n++] = gw_datum_of_bytes(GW_KIND_BITS, "0101", 4);
    out[n++] = gw_datum_of_bytes(GW_KIND_GEOMETRY, "\0\0\x10\xe6\1", 5);
    return n;
}

static void data_are_equal_by_kind_and_value(void **state)
{
    (void)state;
    struct gw_datum samples[64];
    size_t count = make_samples(samples);
    for (size_t i = 0; i < count; i++)
        for (size_t j = 0; j < count; j++)
            assert_int_equal(gw_datum_equal(&samples[i], &samples[j]), i == j);
}

static void a_datum_survives_its_flat_form(void **state)
{
    (void)state;
    struct gw_datum samples[64];
    size_t count = make_samples(samples);
    struct gw_arena arena = {0};
    gw_autobuf struct gw_buf all = {0};
    for (size_t i = 0; i < count; i++) {
        gw_autobuf struct gw_buf one = {0};
        gw_datum_write(&one, &samples[i]);
        gw_datum_write(&all, &samples[i]);
        for (size_t len = 0; len < one.len; len++) {
            struct gw_cursor cut = gw_cursor_of(one.data, len);
            gw_datum_read(&cut);
            assert_true(cut.bad);
        }
    }
    struct gw_cursor in = gw_cursor_of(all.data, all.len);
    struct gw_datum copies[64];
    for (size_t i = 0; i < count; i++) {
        struct gw_datum back = gw_datum_read(&in);
        assert_false(in.bad);
        assert_true(gw_datum_equal(&back, &samples[i]));
        copies[i] = gw_datum_copy(&arena, &back);
    }
    assert_int_equal(gw_cursor_left(&in), 0);
    memset(all.data, 0xff, all.len);
    for (size_t i = 0; i < count; i++)
        assert_true(gw_datum_equal(&copies[i], &samples[i])); /* deep */
    gw_arena_release(&arena);
}

static void what_is_no_datum_is_bad(void **state)
{
    (void)state;
    static const unsigned char wrong[][8] = {{20},
                                             {29},
                                             {32},
                                             {255},
                                             {GW_KIND_BOOL, 2},
                                             {GW_KIND_UUID, 0, 0, 0, 1, 1},
                                             {GW_KIND_GEOMETRY, 0, 0, 0, 1, 1},
                                             {GW_KIND_TEXT, 0xff, 0xff, 0xff, 0xff, 1}};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        struct gw_cursor in = gw_cursor_of(wrong[i], sizeof wrong[i]);
        gw_datum_read(&in);
        assert_true(in.bad);
    }
}

static void arrays_hold_their_shape(void **state)
{
    (void)state;
    struct gw_error err = {0};
    gw_autobuf struct gw_buf flat = {0};
    gw_autobuf struct gw_buf words = {0};
    struct gw_datum_array array;
    gw_datum_array_begin(&flat, 2, (uint32_t[]){2, 2}, (int32_t[]){-1, 5});
    struct gw_datum elements[] = {gw_datum_text("a b"), gw_datum_null(), gw_datum_text("NULL"), gw_datum_text("q\"")};
    for (size_t i = 0; i < 4; i++)
        gw_datum_write(&flat, &elements[i]);
    struct gw_datum datum = gw_datum_of_bytes(GW_KIND_ARRAY, flat.data, flat.len);
    MUST(gw_datum_array_open(&datum, &array, &err));
    assert_int_equal(array.count, 4);
    assert_int_equal(array.lowers[0], -1);
    for (size_t i = 0; i < 4; i++) {
        struct gw_datum back = gw_datum_read(&array.elements);
        assert_true(gw_datum_equal(&back, &elements[i]));
    }
    assert_false(array.elements.bad);
    gw_datum_print(&datum, &words);
    assert_string_equal(gw_buf_text(&words), "[-1:0][5:6]={{\"a b\",NULL},{\"NULL\",\"q\\\"\"}}");
    for (size_t len = 0; len < flat.len - 12; len += 3) {
        struct gw_datum cut = gw_datum_of_bytes(GW_KIND_ARRAY, flat.data, len);
        bool opened = gw_datum_array_open(&cut, &array, &err);
        for (uint64_t i = 0; opened && i < array.count; i++)
            gw_datum_read(&array.elements);
        assert_true(!opened || array.elements.bad);
    }
}

static void an_array_that_lies_is_refused(void **state)
{
    (void)state;
    struct gw_error err = {0};
    struct gw_datum_array array;
    gw_autobuf struct gw_buf flat = {0};
    gw_datum_array_begin(&flat, 2, (uint32_t[]){0xffffffff, 0xffffffff}, (int32_t[]){1, 1});
    struct gw_datum datum = gw_datum_of_bytes(GW_KIND_ARRAY, flat.data, flat.len);
    assert_false(gw_datum_array_open(&datum, &array, &err));
    assert_int_equal(err.kind, GW_ERR_CONFLICT);
    datum = gw_datum_of_bytes(GW_KIND_ARRAY, "\0\0\0\7", 4);
    assert_false(gw_datum_array_open(&datum, &array, &err));
    datum = gw_datum_text("x");
    assert_false(gw_datum_array_open(&datum, &array, &err));
    assert_int_equal(err.kind, GW_ERR_BUG);
    datum = gw_datum_of_bytes(GW_KIND_ARRAY, "\0\0\0\0", 4);
    MUST(gw_datum_array_open(&datum, &array, &err));
    assert_int_equal(array.count, 0);
}

static void data_are_shown_to_people(void **state)
{
    (void)state;
    static const unsigned char uuid[16] = {0x01, 0x23, 0x45, 0x67, 0x89, 0xab, 0xcd, 0xef, 1, 2, 3, 4, 5, 6, 7, 0xff};
    const struct {
        struct gw_datum datum;
        const char *words;
    } cases[] = {
        {gw_datum_null(), "NULL"},
        {{.kind = GW_KIND_BOOL, .boolean = true}, "true"},
        {of_int(GW_KIND_INT64, INT64_MIN), "-9223372036854775808"},
        {{.kind = GW_KIND_UINT64, .u64 = UINT64_MAX}, "18446744073709551615"},
        {{.kind = GW_KIND_FLOAT32, .f32 = 0.1F}, "0.1"},
        {{.kind = GW_KIND_FLOAT64, .f64 = 0.1}, "0.1"},
        {{.kind = GW_KIND_FLOAT64, .f64 = 0.1 + 0.2}, "0.30000000000000004"},
        {{.kind = GW_KIND_FLOAT64, .f64 = -INFINITY}, "-Infinity"},
        {{.kind = GW_KIND_FLOAT64, .f64 = -0.0}, "-0"},
        {gw_datum_of_bytes(GW_KIND_BYTES, "\0\xff", 2), "\\x00ff"},
        {gw_datum_of_bytes(GW_KIND_UUID, uuid, 16), "01234567-89ab-cdef-0102-0304050607ff"},
        {of_int(GW_KIND_TIMESTAMPTZ, 0), "2000-01-01 00:00:00+00"},
        {of_int(GW_KIND_TIMESTAMPTZ, GW_DATUM_FOREVER), "infinity"},
        {gw_datum_of_bytes(GW_KIND_DATE, "2024-02-31", 10), "2024-02-31"},
        {{.kind = GW_KIND_INTERVAL, .interval = {14, -1, 1500000}}, "14 months -1 day 00:00:01.5"},
        {{.kind = GW_KIND_INTERVAL, .interval = {0, 0, 0}}, "00:00:00"},
        {gw_datum_of_bytes(GW_KIND_GEOMETRY, "\0\0\x10\xe6\1\2", 6), "SRID=4326;0102"},
        {{.kind = GW_KIND_UNCHANGED}, "(unchanged)"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        gw_autobuf struct gw_buf out = {0};
        gw_datum_print(&cases[i].datum, &out);
        assert_string_equal(gw_buf_text(&out), cases[i].words);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_day_of_the_calendar_has_its_number),
        cmocka_unit_test(known_days_have_known_numbers),
        cmocka_unit_test(dates_are_written_and_read),
        cmocka_unit_test(what_is_no_date_is_not_read),
        cmocka_unit_test(times_are_written_and_read),
        cmocka_unit_test(timestamps_are_written_and_read),
        cmocka_unit_test(data_are_equal_by_kind_and_value),
        cmocka_unit_test(a_datum_survives_its_flat_form),
        cmocka_unit_test(what_is_no_datum_is_bad),
        cmocka_unit_test(arrays_hold_their_shape),
        cmocka_unit_test(an_array_that_lies_is_refused),
        cmocka_unit_test(data_are_shown_to_people),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
