#include "base/file.h"
#include "demo/score.h"

enum { WIDTH = 960, LEFT = 60, RIGHT = 20, TOP = 46, PANEL = 150, GAP = 46, PER_SECOND = 1000 / GW_DEMO_BIN_MS };

struct picture {
    struct gw_buf *out;
    const struct gw_demo_bin *bins;
    size_t count;
    double seconds, most_ms, most_tps;
};

static double x_of(const struct picture *picture, double seconds)
{
    return LEFT + seconds / picture->seconds * (WIDTH - LEFT - RIGHT);
}

static double tps_at(const struct picture *picture, size_t bin)
{
    /* Over half a second, so that the line shows the load and not the bins. */
    double sum = 0;
    size_t n = 0;
    for (size_t i = bin < 2 ? 0 : bin - 2; i < picture->count && i <= bin + 2; i++, n++)
        sum += picture->bins[i].transactions;
    return n ? sum / (double)n * PER_SECOND : 0;
}

static void measure(struct picture *picture)
{
    picture->seconds = (double)picture->count / PER_SECOND;
    picture->most_ms = 50;
    picture->most_tps = 50;
    for (size_t i = 0; i < picture->count; i++) {
        double ms = (double)picture->bins[i].worst_us / 1e3, tps = tps_at(picture, i);
        picture->most_ms = ms > picture->most_ms ? ms : picture->most_ms;
        picture->most_tps = tps > picture->most_tps ? tps : picture->most_tps;
    }
    picture->most_ms *= 1.1;
    picture->most_tps *= 1.15;
}

static void draw_axis(struct picture *picture, double top, const char *title, double most, const char *unit)
{
    gw_buf_addf(picture->out, "<text x=\"%d\" y=\"%.0f\" font-weight=\"bold\">%s</text>\n", LEFT, top - 8, title);
    for (int i = 0; i <= 2; i++) {
        double y = top + PANEL - PANEL * i / 2.0;
        gw_buf_addf(picture->out, "<line x1=\"%d\" x2=\"%d\" y1=\"%.1f\" y2=\"%.1f\" stroke=\"#ddd\"/>", LEFT,
                    WIDTH - RIGHT, y, y);
        gw_buf_addf(picture->out, "<text x=\"%d\" y=\"%.1f\" text-anchor=\"end\" fill=\"#555\">%.0f%s</text>\n",
                    LEFT - 6, y + 4, most * i / 2.0, unit);
    }
}

static void draw_line(struct picture *picture, double top, bool latency)
{
    gw_buf_addf(picture->out, "<polyline fill=\"none\" stroke=\"%s\" stroke-width=\"1.4\" points=\"",
                latency ? "#c0392b" : "#2c7fb8");
    /* The last bin is cut off by the end of the run. */
    for (size_t i = 0; i + 1 < picture->count; i++) {
        double share = latency ? (double)picture->bins[i].worst_us / 1e3 / picture->most_ms
                               : tps_at(picture, i) / picture->most_tps;
        gw_buf_addf(picture->out, "%.1f,%.1f ", x_of(picture, ((double)i + 0.5) / PER_SECOND),
                    top + PANEL - PANEL * share);
    }
    gw_buf_adds(picture->out, "\"/>\n");
}

static void draw_stages(struct picture *picture, const struct gw_demo_score *score, double bottom)
{
    for (size_t i = 0; i < score->stage_count; i++) {
        const struct gw_demo_stage *stage = &score->stages[i];
        double x = x_of(picture, (double)stage->began_us / 1e6), end = x_of(picture, (double)stage->ended_us / 1e6);
        bool flip = stage->pause_ms > 0;
        if (i % 2 == 0)
            gw_buf_addf(picture->out, "<rect x=\"%.1f\" y=\"%d\" width=\"%.1f\" height=\"%.1f\" fill=\"#f3f6fa\"/>", x,
                        TOP, end - x > 0 ? end - x : 0, bottom - TOP);
        if (flip)
            gw_buf_addf(
                picture->out,
                "<line x1=\"%.1f\" x2=\"%.1f\" y1=\"%d\" y2=\"%.1f\" stroke=\"#222\" stroke-dasharray=\"4 3\"/>", end,
                end, TOP, bottom);
        gw_buf_addf(picture->out, "<text x=\"%.1f\" y=\"%.1f\" font-size=\"11\" %s>%s</text>\n", x + 2,
                    bottom + 14 + (double)(i % 3) * 13.0, flip ? "font-weight=\"bold\"" : "fill=\"#555\"", stage->name);
    }
}

bool gw_demo_picture_write(const char *path, const struct gw_demo_score *score, struct gw_demo_clients *clients,
                           struct gw_error *err)
{
    gw_autobuf struct gw_buf out = {0};
    struct picture picture = {.out = &out};
    picture.bins = gw_demo_clients_bins(clients, &picture.count);
    measure(&picture);
    double second = TOP + PANEL + GAP, bottom = second + PANEL;
    gw_buf_addf(&out,
                "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%d\" height=\"%.0f\" font-family=\"sans-serif\" "
                "font-size=\"12\">\n<rect width=\"100%%\" height=\"100%%\" fill=\"white\"/>\n",
                WIDTH, bottom + 56);
    draw_stages(&picture, score, bottom);
    gw_buf_addf(
        &out,
        "<text x=\"%d\" y=\"18\" font-size=\"15\" font-weight=\"bold\">%llu transactions, %llu failed, %llu lost; "
        "longest pause %.0f ms</text>\n",
        LEFT, (unsigned long long)score->transactions, (unsigned long long)score->failed,
        (unsigned long long)score->lost, score->longest_pause_ms);
    draw_axis(&picture, TOP, "slowest request of each tenth of a second", picture.most_ms, " ms");
    draw_line(&picture, TOP, true);
    draw_axis(&picture, second, "transactions per second", picture.most_tps, "");
    draw_line(&picture, second, false);
    gw_buf_adds(&out, "</svg>\n");
    return gw_file_replace(path, out.data, out.len, err);
}
