/* Looks through records of CSV: whether each has its fields, and which columns hold nothing but texts as their types write them.

   In two passes over some kilobytes at a time: where fields end, 64 bytes at once; then column by column, without a branch for
   what most values are. */

#include "forms.h"

#define WINDOW 16384
#define MOST_COLUMNS 4096

#define PUBLIC __attribute__((visibility("default")))
#define INLINE static inline __attribute__((always_inline))

/* A bit for each of 64 characters that is the wanted one. The function for this processor is inlined into a copy of all else. */
typedef uint64_t search(const uint8_t *text, uint8_t wanted);

INLINE uint64_t search_words(const uint8_t *text, uint8_t wanted) {
    uint64_t found = 0;
    for (unsigned part = 0; part < 8; part++) {
        uint64_t other = word_at(text + 8 * part) ^ ALL(wanted);
        uint64_t same = ~(((other & ALL(0x7F)) + ALL(0x7F)) | other) & ALL(0x80); /* 0x80 where it was 0 */
        found |= (((same >> 7) * 0x0102040810204080ULL) >> 56) << (8 * part);
    }
    return found;
}

enum answer { FINE, OTHER_FIELDS, TOO_MANY_COLUMNS };

/* What was met on the way. */
enum { SEEN_QUOTE = 1, SEEN_CRLF = 2, SEEN_LF = 4 };

struct table {
    const uint8_t *data;
    const uint32_t *ends; /* of the fields, one record after the other; ends[-1] is where the record before ends */
    size_t records, width;
    const struct column *columns;
    const uint8_t *nulls; /* texts that mean NULL: how many; then each with its size before it */
    uint8_t quote;
    bool empty_is_null;
};

static inline const uint8_t *field_of(const struct table *table, size_t record, size_t column, size_t *size) {
    const uint32_t *end = table->ends + record * table->width + column;
    uint32_t start = end[-1] + 1; /* ends[-1] may be the one before 0: it wraps */
    *size = *end - start;
    return table->data + start;
}

static bool means_null(const struct table *table, const uint8_t *text, size_t size) {
    const uint8_t *null = table->nulls + 1;
    for (unsigned left = table->nulls[0]; left > 0; left--, null += 1 + null[0])
        if (null[0] == size && memcmp(null + 1, text, size) == 0) return true;
    return false;
}

static bool is_exact(const struct table *table, size_t record, size_t column) {
    size_t size;
    const uint8_t *text = field_of(table, record, column, &size);
    if (column == table->width - 1 && size > 0 && text[size - 1] == '\r') size--;
    if (size > 1 && text[0] == table->quote && table->quote != 0) /* both quotes are there: the first pass has seen to it */
        return is_form_of(text + 1, size - 2, table->columns + column);
    return is_form_of(text, size, table->columns + column) || means_null(table, text, size);
}

/* For most values; false means only that somebody has to look more closely. */
static bool are_plain_integers(const struct table *table, size_t column) {
    size_t least = table->empty_is_null ? 0 : 1, most = table->columns[column].digits - 1U;
    bool unsigned_ = table->columns[column].kind == UNSIGNED;
    uint64_t strange = 0;
    for (size_t record = 0; record < table->records; record++) {
        size_t size;
        const uint8_t *text = field_of(table, record, column, &size);
        bool negative = text[0] == '-';
        text += negative, size -= negative;
        strange |= (negative & unsigned_) | (negative & ((size == 0) | (text[0] == '0')));
        strange |= (size > most) | (size < least) | starts_with_needless_zero(text, size);
        if (size <= 8)
            strange |= strange_in(padded(text, size));
        else if (size <= 16)
            strange |= strange_in(word_at(text)) | strange_in(word_at(text + size - 8));
        else
            return false;
    }
    return !strange;
}

static bool are_plain_decimals(const struct table *table, size_t column) {
    size_t scale = table->columns[column].scale, most = table->columns[column].digits + 1U;
    if (scale == 0 || scale > 6 || scale == table->columns[column].digits) return false;
    uint64_t strange = 0, point = (uint64_t)('.' ^ '0') << (8 * (7 - scale));
    for (size_t record = 0; record < table->records; record++) {
        size_t size;
        const uint8_t *text = field_of(table, record, column, &size);
        if (size == 0 && table->empty_is_null) continue;
        bool negative = text[0] == '-';
        text += negative, size -= negative;
        strange |= negative & (text[0] == '0'); /* of zero alone, but who knows */
        if (size < scale + 2 || size > most || size > 16) return false;
        strange |= starts_with_needless_zero(text, size - scale - 1) | (text[size - scale - 1] != '.');
        uint64_t last = size <= 8 ? padded(text, size) : word_at(text + size - 8);
        strange |= strange_in(last ^ point); /* the point becomes 0 */
        if (size > 8) strange |= strange_in(word_at(text)) & (size == 16 ? ~0ULL : ((1ULL << (8 * (size - 8))) - 1));
    }
    return !strange;
}

static bool are_plain_seconds(const struct table *table, size_t column) {
    bool fine = true;
    for (size_t record = 0; record < table->records && fine; record++) {
        size_t size;
        const uint8_t *text = field_of(table, record, column, &size);
        fine = size == 19 ? is_second(text) : size == 0 && table->empty_is_null;
    }
    return fine;
}

static void judge(const struct table *table, uint8_t *exact) {
    for (size_t column = 0; column < table->width; column++) {
        if (!exact[column]) continue;
        bool plain = false;
        switch (table->columns[column].kind) {
        case TEXT: plain = true; break;
        case SIGNED:
        case UNSIGNED: plain = are_plain_integers(table, column); break;
        case DECIMAL: plain = are_plain_decimals(table, column); break;
        case TIMESTAMP: plain = are_plain_seconds(table, column); break;
        default: break;
        }
        for (size_t record = 0; !plain && record < table->records; record++)
            if (!is_exact(table, record, column)) {
                exact[column] = 0;
                break;
            }
    }
}

/* Whether quotes stand around whole fields, and beside no white space: DuckDB drops it.

   quotes, inside: a bit for each of the 64 characters at `at`; inside from an opening quote to before the closing one. */
static bool stand_well(const uint8_t *data, size_t at, uint64_t quotes, uint64_t inside, uint8_t delimiter, uint8_t quote) {
    for (; quotes != 0; quotes &= quotes - 1) {
        unsigned bit = (unsigned)__builtin_ctzll(quotes);
        size_t here = at + bit;
        uint8_t before = here > 0 ? data[here - 1] : '\n', after = data[here + 1];
        bool spaced = (before == ' ' || before == '\t') && before != delimiter;
        if (spaced || ((after == ' ' || after == '\t') && after != delimiter)) return false;
        bool opens = (inside >> bit) & 1;
        uint8_t outer = opens ? before : after;
        if (outer != delimiter && outer != '\n' && outer != quote && (opens || outer != '\r')) return false;
    }
    return true;
}

INLINE int look_through(const uint8_t *data, size_t size, const struct column *columns, size_t width, uint8_t delimiter,
                        uint8_t quote, const uint8_t *nulls, uint8_t *exact, uint32_t *seen, search *where) {
    uint32_t room[1 + MOST_COLUMNS + WINDOW + 8], *ends = room + 1; /* 8: written beyond the last, for speed */
    if (width > MOST_COLUMNS) return TOO_MANY_COLUMNS;
    struct table table = {data, ends, 0, width, columns, nulls, quote, false};
    table.empty_is_null = means_null(&table, data, 0);
    ends[-1] = (uint32_t)-1;
    size_t found = 0, at = 0;
    uint64_t carried = 0 /* all ones inside quotes */, returned_last = 0;
    while (at < size) {
        size_t stop = size - at < WINDOW ? size : at + WINDOW, newlines = 0;
        for (; at < stop; at += 64) {
            uint64_t valid = size - at < 64 ? (1ULL << (size - at)) - 1 : ~0ULL;
            uint64_t lines = where(data + at, '\n') & valid, returned = where(data + at, '\r') & valid;
            uint64_t marks = (where(data + at, delimiter) & valid) | lines;
            uint64_t quotes = quote != 0 ? where(data + at, quote) & valid : 0;
            if (quotes | carried) {
                uint64_t inside = quotes; /* each quote turns over all that follow */
                for (unsigned shift = 1; shift < 64; shift *= 2) inside ^= inside << shift;
                inside ^= carried;
                carried = (inside >> 63) ? ~0ULL : 0;
                if ((lines | returned) & inside) return OTHER_FIELDS;
                if (!stand_well(data, at, quotes, inside, delimiter, quote)) return OTHER_FIELDS;
                marks &= ~inside;
                *seen |= SEEN_QUOTE;
            }
            if (returned | returned_last) {
                uint64_t next = (lines >> 1) | ((uint64_t)(data[at + 64] == '\n') << 63);
                if (returned & ~next) return OTHER_FIELDS;
                *seen |= SEEN_CRLF;
            }
            if (lines & ~(returned << 1 | returned_last)) *seen |= SEEN_LF;
            returned_last = returned >> 63;
            newlines += (size_t)__builtin_popcountll(lines);
            size_t count = (size_t)__builtin_popcountll(marks);
            uint32_t *next = ends + found;
            for (size_t done = 0; done < count; done += 8)
                for (unsigned one = 0; one < 8; one++) {
                    *next++ = (uint32_t)(at + (unsigned)__builtin_ctzll(marks | 1ULL << 63));
                    marks &= marks - 1;
                }
            found += count;
        }
        table.records = found / width;
        if (newlines != table.records) return OTHER_FIELDS;
        for (size_t record = 0; record < table.records; record++)
            if (data[ends[(record + 1) * width - 1]] != '\n') return OTHER_FIELDS;
        judge(&table, exact);
        size_t done = table.records * width;
        if (done > 0) {
            ends[-1] = ends[done - 1];
            memmove(ends, ends + done, (found - done) * sizeof *ends);
            found -= done;
        }
    }
    return found == 0 && carried == 0 ? FINE : OTHER_FIELDS;
}

#if defined(__x86_64__) && !defined(PORTABLE)
#include <immintrin.h>

INLINE uint64_t search_16(const uint8_t *text, uint8_t wanted) {
    const __m128i all = _mm_set1_epi8((char)wanted);
    uint64_t found = 0;
    for (unsigned part = 0; part < 4; part++) {
        __m128i some = _mm_loadu_si128((const __m128i *)(const void *)(text + 16 * part));
        found |= (uint64_t)(uint32_t)_mm_movemask_epi8(_mm_cmpeq_epi8(some, all)) << (16 * part);
    }
    return found;
}

#ifndef OLDER
#define NEWER __attribute__((target("avx2,bmi,popcnt")))

NEWER INLINE uint64_t search_32(const uint8_t *text, uint8_t wanted) {
    const __m256i all = _mm256_set1_epi8((char)wanted);
    __m256i low = _mm256_loadu_si256((const __m256i *)(const void *)text);
    __m256i high = _mm256_loadu_si256((const __m256i *)(const void *)(text + 32));
    return (uint64_t)(uint32_t)_mm256_movemask_epi8(_mm256_cmpeq_epi8(low, all)) |
           (uint64_t)(uint32_t)_mm256_movemask_epi8(_mm256_cmpeq_epi8(high, all)) << 32;
}

NEWER static int scan_32(const uint8_t *data, size_t size, const struct column *columns, size_t width, uint8_t delimiter,
                         uint8_t quote, const uint8_t *nulls, uint8_t *exact, uint32_t *seen) {
    return look_through(data, size, columns, width, delimiter, quote, nulls, exact, seen, search_32);
}
#endif
#else
#define search_16 search_words
#endif

/* Looks through whole records.

   data: readable up to 64 bytes behind its end. The last of its `size` bytes, below 2**31, is a newline.
   width: how many columns there are. quote: 0 for none.
   exact: one byte for each column, made 0 where a text is not how its type writes it.
   seen: bits are added to it.

   Gives FINE; or OTHER_FIELDS where records have other fields than these, or readers could see different ones: `exact` is then of
   no use; or TOO_MANY_COLUMNS. */
PUBLIC int osiris_csv_scan(const uint8_t *data, size_t size, const struct column *columns, size_t width, uint8_t delimiter,
                           uint8_t quote, const uint8_t *nulls, uint8_t *exact, uint32_t *seen) {
#if defined(__x86_64__) && !defined(PORTABLE) && !defined(OLDER)
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("bmi") && __builtin_cpu_supports("popcnt"))
        return scan_32(data, size, columns, width, delimiter, quote, nulls, exact, seen);
#endif
    return look_through(data, size, columns, width, delimiter, quote, nulls, exact, seen, search_16);
}
