/* Whether a text is how its type writes that value, and no other text of it.

   Up to 8 bytes beyond a text are read, and ignored: the caller keeps them readable. Little-endian only:
   the words below hold the first character in their lowest byte. */

#ifndef FORMS_H
#define FORMS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#if !defined(__BYTE_ORDER__) || __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "written for little-endian processors"
#endif

enum kind { TEXT, SIGNED, UNSIGNED, DECIMAL, DOUBLE, DATE, TIMESTAMP, BOOLEAN };

/* Of one column. `digits` and `scale` are those of DECIMAL; `limit` is the largest SIGNED or UNSIGNED number, of `digits` digits;
   the smallest SIGNED one is further from zero by one, in its last digit. */
struct column {
    uint8_t kind, digits, scale;
    char limit[21];
};

#define ALL(byte) (0x0101010101010101ULL * (byte))

static inline uint64_t word_at(const uint8_t *text) {
    uint64_t word;
    memcpy(&word, text, 8);
    return word;
}

/* Not 0 where one of the 8 characters is no digit. */
static inline uint64_t strange_in(uint64_t word) {
    uint64_t digits = word ^ ALL('0');
    return (digits | (digits + ALL(0x80 - 10))) & ALL(0x80);
}

/* Up to 8 characters, and zeros before them. */
static inline uint64_t padded(const uint8_t *text, size_t size) {
    if (size == 0) return ALL('0');
    unsigned missing = 64 - 8 * (unsigned)size;
    return (word_at(text) << missing) | (ALL('0') & ((1ULL << missing) - 1));
}

static inline uint64_t strange_among(const uint8_t *text, size_t size) {
    uint64_t strange = 0;
    for (; size > 8; text += 8, size -= 8) strange |= strange_in(word_at(text));
    return strange | strange_in(padded(text, size));
}

static inline bool all_digits(const uint8_t *text, size_t size) { return size > 0 && !strange_among(text, size); }

static inline bool starts_with_needless_zero(const uint8_t *text, size_t size) { return (size > 1) & (text[0] == '0'); }

static inline bool is_integer(const uint8_t *text, size_t size, const struct column *column) {
    bool negative = size > 0 && text[0] == '-';
    if (negative) {
        if (column->kind == UNSIGNED) return false;
        text++, size--;
        if (size > 0 && text[0] == '0') return false;
    }
    if (!all_digits(text, size) || starts_with_needless_zero(text, size) || size > column->digits) return false;
    if (size < column->digits) return true;
    int beside = memcmp(text, column->limit, size - 1);
    return beside < 0 || (beside == 0 && text[size - 1] <= column->limit[size - 1] + negative);
}

static inline bool is_decimal(const uint8_t *text, size_t size, const struct column *column) {
    bool negative = size > 0 && text[0] == '-';
    if (negative) text++, size--;
    size_t scale = column->scale, whole = size;
    if (scale > 0) {
        if (size < scale + 2) return false;
        whole = size - scale - 1;
        if (text[whole] != '.' || !all_digits(text + whole + 1, scale)) return false;
    }
    if (!all_digits(text, whole) || starts_with_needless_zero(text, whole)) return false;
    size_t most = (size_t)column->digits - scale;
    if (whole > most && !(most == 0 && whole == 1 && text[0] == '0')) return false;
    if (!negative) return true;
    for (size_t at = 0; at < size; at++)
        if (text[at] != '0' && text[at] != '.') return true;
    return false; /* the text of zero has no sign */
}

/* Only what is the shortest text of its number beyond doubt: 15 digits, no exponent. Others may be it too. */
static inline bool is_double(const uint8_t *text, size_t size) {
    if (size > 0 && text[0] == '-') text++, size--;
    const uint8_t *point = memchr(text, '.', size);
    if (point == NULL) return false;
    size_t whole = (size_t)(point - text), fraction = size - whole - 1;
    const uint8_t *after = point + 1;
    if (!all_digits(text, whole) || starts_with_needless_zero(text, whole) || !all_digits(after, fraction)) return false;
    if (whole + fraction > 15 || (fraction > 1 && after[fraction - 1] == '0')) return false;
    return text[0] != '0' || fraction == 1 || memcmp(after, "0000", fraction < 4 ? fraction : 4) != 0; /* not below 0.0001 */
}

static const uint8_t DAYS[16] = {0, 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31, 0, 0, 0};

static inline unsigned byte_of(uint64_t word, unsigned at) { return (unsigned)(word >> (8 * at)) & 0xFF; }

/* `first` and `second`: the digits, as numbers, and zeros for what stands between them, of YYYY-MM- and DD. */
static inline bool is_day(uint64_t first, uint64_t second) {
    unsigned month = byte_of(first, 5) * 10 + byte_of(first, 6), day = byte_of(second, 0) * 10 + byte_of(second, 1);
    if (month > 12 || day == 0) return false;
    if (day <= DAYS[month] && (uint32_t)first != 0) return true;
    unsigned year = byte_of(first, 0) * 1000 + byte_of(first, 1) * 100 + byte_of(first, 2) * 10 + byte_of(first, 3);
    return month == 2 && day == 29 && year > 0 && year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
}

static const char YEAR_MONTH[8] = {'0', '0', '0', '0', '-', '0', '0', '-'}, DAY[8] = {'0', '0'},
                  DAY_TIME[8] = {'0', '0', ' ', '0', '0', ':', '0', '0'}, SECOND[8] = {':', '0', '0'};

static inline bool is_date(const uint8_t *text, size_t size) {
    if (size != 10) return false;
    uint64_t first = word_at(text) ^ word_at((const uint8_t *)YEAR_MONTH);
    uint64_t second = (word_at(text + 8) & 0xFFFF) ^ word_at((const uint8_t *)DAY);
    uint64_t above = (first + 0x7F76767F76767676ULL) | (second + 0x7676ULL); /* 0x80 less 10 for digits, less 1 for others */
    return !((first | second | above) & ALL(0x80)) && is_day(first, second);
}

/* 19 characters: no fraction. */
static inline bool is_second(const uint8_t *text) {
    uint64_t first = word_at(text) ^ word_at((const uint8_t *)YEAR_MONTH);
    uint64_t second = word_at(text + 8) ^ word_at((const uint8_t *)DAY_TIME);
    uint64_t third = (word_at(text + 16) & 0xFFFFFF) ^ word_at((const uint8_t *)SECOND);
    uint64_t above = (first + 0x7F76767F76767676ULL) | (second + 0x76767F76767F7676ULL) | (third + 0x76767FULL);
    if ((first | second | third | above) & ALL(0x80)) return false;
    unsigned hour = byte_of(second, 3) * 10 + byte_of(second, 4);
    return !((hour > 23) | (byte_of(second, 6) > 5) | (byte_of(third, 1) > 5)) && is_day(first, second);
}

/* A fraction without zeros at its end, or one of 6 digits that are not all zero. */
static inline bool is_timestamp(const uint8_t *text, size_t size) {
    if (size < 19 || !is_second(text)) return false;
    if (size == 19) return true;
    size_t fraction = size - 20;
    if (text[19] != '.' || fraction == 0 || fraction > 6 || !all_digits(text + 20, fraction)) return false;
    return fraction < 6 ? text[size - 1] != '0' : memcmp(text + 20, "000000", 6) != 0;
}

static inline bool is_boolean(const uint8_t *text, size_t size) {
    return (size == 4 && memcmp(text, "true", 4) == 0) || (size == 5 && memcmp(text, "false", 5) == 0);
}

static inline bool is_form_of(const uint8_t *text, size_t size, const struct column *column) {
    switch (column->kind) {
    case SIGNED:
    case UNSIGNED: return is_integer(text, size, column);
    case DECIMAL: return is_decimal(text, size, column);
    case DOUBLE: return is_double(text, size);
    case DATE: return is_date(text, size);
    case TIMESTAMP: return is_timestamp(text, size);
    case BOOLEAN: return is_boolean(text, size);
    default: return true;
    }
}

#endif
