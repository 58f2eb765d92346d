#include "expr/expr.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

namespace backstream::expr {
namespace {

ExprPtr integer(int64_t value, Type type = Type::kInt4) { return make_literal(value, type); }
ExprPtr text(const char* value) { return make_literal(std::string(value), Type::kUnknown); }
ExprPtr column(int index, Type type) { return make_column(index, type); }
template <typename... Args>
std::vector<ExprPtr> list(Args... args) {
  std::vector<ExprPtr> made;
  (made.push_back(std::move(args)), ...);
  return made;
}
/// The folded value as text, or the SQLSTATE.
std::string folded(Result<ExprPtr> e) {
  if (!e) return e.error().code;
  EXPECT_EQ((*e)->kind, ExprKind::kLiteral);
  if (std::holds_alternative<std::monostate>((*e)->literal)) return "NULL";
  return value_text((*e)->literal, (*e)->type);
}
std::string op(const char* name, ExprPtr a, ExprPtr b) {
  return folded(make_operator(name, list(std::move(a), std::move(b)), {}));
}

TEST(Arithmetic, IsOfTheWidestIntegerAndChecked) {
  EXPECT_EQ(op("+", integer(2'147'483'647), integer(1)), "22003");
  EXPECT_EQ(op("+", integer(2'147'483'647), integer(1, Type::kInt8)), "2147483648");
  EXPECT_EQ(op("*", integer(std::numeric_limits<int64_t>::min(), Type::kInt8), integer(-1)), "22003");
  EXPECT_EQ(op("/", integer(std::numeric_limits<int64_t>::min(), Type::kInt8), integer(-1)), "22003");
  EXPECT_EQ(op("/", integer(-7), integer(2)), "-3");
  EXPECT_EQ(op("%", integer(-7), integer(2)), "-1");
  EXPECT_EQ(op("/", integer(1), integer(0)), "22012");
  EXPECT_EQ(op("<<", integer(1), integer(33)), "2") << "shift counts wrap at the width of integer";
  EXPECT_EQ(op("/", make_literal(1.0, Type::kFloat8), make_literal(0.0, Type::kFloat8)), "22012");
  EXPECT_EQ(op("*", make_literal(1e300, Type::kFloat8), make_literal(1e300, Type::kFloat8)), "22003");
}

TEST(Overloads, AnUntypedLiteralTakesTheOtherSidesType) {
  EXPECT_EQ(op("<<=", text("10.1.2.3"), make_literal(*base::parse_inet("10.0.0.0/8"), Type::kInet)), "t");
  EXPECT_EQ(op("+", integer(1), text("abc")), "22P02");
  EXPECT_EQ(op("-", make_literal(int64_t{0}, Type::kTimestamptz), text("1 s")), "22007") << "first taken for a time";
  EXPECT_EQ(op("+", make_literal(true, Type::kBool), integer(1)), "42883");
  const auto unknown = make_call("hots", list(column(0, Type::kInet)), {});
  ASSERT_FALSE(unknown.has_value());
  EXPECT_EQ(unknown.error().hint, "did you mean 'host'?");
}

TEST(Logic, IsThreeValued) {
  const auto null = [] { return make_literal(Value{}, Type::kBool); };
  const auto truth = [](bool value) { return make_literal(value, Type::kBool); };
  EXPECT_EQ(folded(make_and(list(null(), truth(false)), {})), "f");
  EXPECT_EQ(folded(make_and(list(null(), truth(true)), {})), "NULL");
  EXPECT_EQ(folded(make_or(list(null(), truth(true)), {})), "t");
  EXPECT_EQ(folded(make_or(list(null(), truth(false)), {})), "NULL");
  EXPECT_EQ(folded(make_not(null(), {})), "NULL");
  EXPECT_EQ(folded(make_in_list(integer(1), list(integer(2), make_literal(Value{}, Type::kInt4)), false, {})), "NULL");
  EXPECT_EQ(folded(make_in_list(integer(1), list(integer(1), make_literal(Value{}, Type::kInt4)), true, {})), "f");
  EXPECT_EQ(folded(make_is_truth(null(), "true", true, {})), "t");
  EXPECT_EQ(folded(make_distinct_from(null(), null(), false, {})), "f");
  EXPECT_EQ(folded(make_extreme(true, list(integer(3), make_literal(Value{}, Type::kInt4), integer(5)), {})), "5");
}

/// Columns i (0, 1, 2, null) and a boolean.
struct Rows {
  std::vector<int64_t> i{0, 1, 2, 3};
  std::vector<uint8_t> present{1, 1, 1, 0};
  batch::ColumnBatch batch;
  Rows() {
    batch.row_count = 4;
    batch::Column c;
    c.type = Type::kInt4;
    c.values = i.data();
    c.has_nulls = true;
    c.validity = present.data();
    batch.columns.push_back(c);
  }
  std::vector<std::string> run(ExprPtr e, uint64_t& errors, const uint8_t* active = nullptr) {
    const Type type = e->type;
    Evaluator evaluator(std::move(e), 4);
    ValueErrorCounts counts;
    const batch::Column out = evaluator.evaluate(batch, active, counts);
    errors = counts.total();
    std::vector<std::string> texts;
    for (size_t row = 0; row < 4; ++row)
      texts.push_back(out.is_null(row) ? "NULL" : value_text(value_at(out, row), type));
    return texts;
  }
};
ExprPtr ten_by_i() { return std::move(*make_operator("/", list(integer(10), column(0, Type::kInt4)), {})); }

TEST(Evaluator, AValueErrorIsNullAndCounted) {
  Rows rows;
  uint64_t errors = 0;
  EXPECT_EQ(rows.run(ten_by_i(), errors), (std::vector<std::string>{"NULL", "10", "5", "NULL"}));
  EXPECT_EQ(errors, 1u) << "a null argument is no error";
  const uint8_t active[4] = {0, 1, 1, 1};
  rows.run(ten_by_i(), errors, active);
  EXPECT_EQ(errors, 0u) << "a row that is not wanted raises none";
}

TEST(Evaluator, WhatIsDecidedIsNotComputed) {
  Rows rows;
  uint64_t errors = 0;
  // i <> 0 AND 10 / i > 5
  auto guarded = make_and(list(std::move(*make_operator("<>", list(column(0, Type::kInt4), integer(0)), {})),
                               std::move(*make_operator(">", list(ten_by_i(), integer(5)), {}))),
                          {});
  EXPECT_EQ(rows.run(std::move(*guarded), errors), (std::vector<std::string>{"f", "t", "f", "NULL"}));
  EXPECT_EQ(errors, 0u);
  // CASE WHEN i = 0 THEN -1 ELSE 10 / i END
  auto chosen = make_case(nullptr, list(std::move(*make_operator("=", list(column(0, Type::kInt4), integer(0)), {}))),
                          list(integer(-1)), ten_by_i(), {});
  EXPECT_EQ(rows.run(std::move(*chosen), errors), (std::vector<std::string>{"-1", "10", "5", "NULL"}));
  EXPECT_EQ(errors, 0u);
}

TEST(Values, PrintAsPostgresDoes) {
  const auto number = [](double value) { return value_text(value, Type::kFloat8); };
  EXPECT_EQ(number(0.1), "0.1");
  EXPECT_EQ(number(1e15), "1e+15");
  EXPECT_EQ(number(123456789012345), "123456789012345");
  EXPECT_EQ(number(0.0001), "0.0001");
  EXPECT_EQ(number(0.00001), "1e-05");
  EXPECT_EQ(number(-HUGE_VAL), "-Infinity");
  EXPECT_EQ(value_text(base::Interval{-3'723'500'000, 1, -14}, Type::kInterval), "-1 years -2 mons +1 day -01:02:03.5");
  EXPECT_EQ(value_text(base::Interval{}, Type::kInterval), "00:00:00");
  EXPECT_EQ(value_text(int64_t{0x0a0b0c0d0e0f}, Type::kMacaddr), "0a:0b:0c:0d:0e:0f");
  EXPECT_EQ(value_text(std::string("\x01\xff", 2), Type::kBytea), "\\x01ff");
}

TEST(Values, AreReadAsPostgresReadsThem) {
  const auto interval = [](const char* given) {
    const auto value = parse_value(given, Type::kInterval);
    return value ? value_text(*value, Type::kInterval) : value.error().code;
  };
  EXPECT_EQ(interval("300 s"), "00:05:00");
  EXPECT_EQ(interval("1 day 02:03:04"), "1 day 02:03:04");
  EXPECT_EQ(interval("1.5 hours"), "01:30:00");
  EXPECT_EQ(interval("PT5M"), "00:05:00");
  EXPECT_EQ(interval("3 fortnights"), "22007");
  EXPECT_EQ(parse_value("9223372036854775808", Type::kInt8).error().code, "22003");
  EXPECT_EQ(parse_value("12x", Type::kInt8).error().code, "22P02");
  EXPECT_EQ(parse_value("10.0.0.1/8", Type::kCidr).error().hint, "value has bits set to right of mask");
  EXPECT_TRUE(std::get<bool>(*parse_value(" yes ", Type::kBool)));
}

// What the comparison with PostgreSQL (tests/oracle) found.

std::string read(const char* value, Type type) {
  const auto parsed = parse_value(value, type);
  return parsed ? value_text(*parsed, type) : parsed.error().code;
}
ExprPtr typed(const char* value, Type type) {
  const auto parsed = parse_value(value, type);
  EXPECT_TRUE(parsed) << value;
  return parsed ? make_literal(*parsed, type) : nullptr;
}
std::string called(const char* name, std::vector<ExprPtr> args) { return folded(make_call(name, std::move(args), {})); }

TEST(Input, OfIntervalsIsPostgreSQLs) {
  EXPECT_EQ(read("1-2 3 4:05:06", Type::kInterval), "1 year 2 mons 3 days 04:05:06");
  EXPECT_EQ(read("3 1:02", Type::kInterval), "3 days 01:02:00");
  EXPECT_EQ(read("1:02.5", Type::kInterval), "00:01:02.5");
  EXPECT_EQ(read("1 millennium", Type::kInterval), "1000 years");
  EXPECT_EQ(read("2562047788:00:54", Type::kInterval), "2562047788:00:54");
  EXPECT_EQ(read("50%", Type::kInterval), "00:00:50");
  EXPECT_EQ(read("1.5 mons", Type::kInterval), "1 mon 15 days");
  EXPECT_EQ(read("5 min ago", Type::kInterval), "-00:05:00");
  EXPECT_EQ(read("P1Y2M3DT4H5M6S", Type::kInterval), "1 year 2 mons 3 days 04:05:06");
  EXPECT_EQ(read("1 mon 1 mon", Type::kInterval), "22007");
  EXPECT_EQ(read("2026-01-31", Type::kInterval), "22007");
  EXPECT_EQ(read("10.0.0.1", Type::kInterval), "22007");
  EXPECT_EQ(read("3 ago", Type::kInterval), "22007");
  EXPECT_EQ(read("1:60", Type::kInterval), "22015");
  EXPECT_EQ(read("3000000000 days", Type::kInterval), "22015");
}

TEST(Input, OfMacAddressesHasSevenForms) {
  for (const char* form :
       {"00:1b:21:aa:bb:cc", "0:1b:21:aa:bb:cc", "00-1B-21-AA-BB-CC", "001b21:aabbcc", "001b21-aabbcc",
        "001b.21aa.bbcc", "001b-21aa-bbcc", "001b21aabbcc", " 00:1b:21:aa:bb:cc "}) {
    EXPECT_EQ(read(form, Type::kMacaddr), "00:1b:21:aa:bb:cc") << form;
  }
  EXPECT_EQ(read("00:1b-21:aa:bb:cc", Type::kMacaddr), "22P02");
  EXPECT_EQ(read("00:1b:21:aa:bb:100", Type::kMacaddr), "22003");
}

TEST(Input, OfByteaHasBothForms) {
  EXPECT_EQ(read("\\x 00 fF", Type::kBytea), "\\x00ff");
  EXPECT_EQ(read("a\\\\b\\101", Type::kBytea), "\\x615c6241");
  EXPECT_EQ(read("\\x0", Type::kBytea), "22023");
  EXPECT_EQ(read("\\xZZ", Type::kBytea), "22023");
  EXPECT_EQ(read("a\\1", Type::kBytea), "22P02");
  EXPECT_EQ(folded(make_cast(typed("\\x41", Type::kText), Type::kBytea, {})), "\\x41");
}

TEST(Input, OfNumbersTimesAndAddresses) {
  EXPECT_EQ(read("99999999999x", Type::kInt4), "22003");
  EXPECT_EQ(read("12x", Type::kInt4), "22P02");
  EXPECT_EQ(read("1e-400x", Type::kFloat8), "22003");
  EXPECT_EQ(read("0x1p3", Type::kFloat8), "8");
  EXPECT_EQ(read("-nan", Type::kFloat8), "NaN");
  EXPECT_EQ(read("+-1", Type::kFloat8), "22P02");
  EXPECT_EQ(read("2026-02-29", Type::kTimestamptz), "22008");
  EXPECT_EQ(read("2026-01-31 25:00", Type::kTimestamptz), "22008");
  EXPECT_EQ(read("0000-01-01", Type::kTimestamptz), "22008");
  EXPECT_EQ(read("2026-01-31 x", Type::kTimestamptz), "22007");
  EXPECT_EQ(read(" 10.0.0.1 ", Type::kInet), "22P02");
  EXPECT_EQ(read("::.0", Type::kInet), "::");
}

TEST(Numbers, OfNaNAndInfinity) {
  EXPECT_EQ(called("sign", list(typed("NaN", Type::kFloat8))), "0");
  EXPECT_EQ(op("^", typed("-Infinity", Type::kFloat8), typed("0.5", Type::kFloat8)), "2201F");
  EXPECT_EQ(op("^", typed("-1", Type::kFloat8), typed("NaN", Type::kFloat8)), "NaN");
}

TEST(Expressions, WithNaNAreEqualToThemselves) {
  EXPECT_TRUE(equal(*typed("NaN", Type::kFloat8), *typed("NaN", Type::kFloat8)));
  EXPECT_FALSE(equal(*typed("0", Type::kFloat8), *typed("-0", Type::kFloat8)));
}

TEST(Text, TrimTakesWholeCharacters) {
  EXPECT_EQ(called("ltrim", list(text("日本語"), text("日"))), "本語");
  EXPECT_EQ(called("rtrim", list(text("aé"), text("è"))), "aé");
  EXPECT_EQ(called("btrim", list(text("日語日"), text("本日"))), "語");
}

TEST(Networks, AbbreviateAndSubtractAsPostgreSQL) {
  const auto abbreviated = [](const char* network) { return called("abbrev", list(typed(network, Type::kCidr))); };
  EXPECT_EQ(abbreviated("2001:db8::1/128"), "2001:db8::1/128");
  EXPECT_EQ(abbreviated("::ffff:0:0/96"), "::ffff/96");
  EXPECT_EQ(abbreviated("2000::/3"), "2000::/3");
  EXPECT_EQ(abbreviated("::/0"), "::/0");
  EXPECT_EQ(abbreviated("10.0.0.0/9"), "10.0/9");
  EXPECT_EQ(op("-", typed("::1", Type::kInet), typed("ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", Type::kInet)), "2");
  EXPECT_EQ(op("-", typed("1::", Type::kInet), typed("::", Type::kInet)), "22003");
}

TEST(Times, FieldsAreNamedAndMissingAsInPostgreSQL) {
  const auto field = [](const char* name, const char* value, Type type) {
    return called("date_part", list(text(name), typed(value, type)));
  };
  EXPECT_EQ(field("weeks", "2024-12-30 01:02:03.456789+00", Type::kTimestamptz), "1");
  EXPECT_EQ(field("julian", "2024-12-30 01:02:03.456789+00", Type::kTimestamptz), "2460675.0430955645");
  EXPECT_EQ(field("month", "infinity", Type::kTimestamptz), "NULL");
  EXPECT_EQ(field("year", "-infinity", Type::kTimestamptz), "-Infinity");
  EXPECT_EQ(field("dow", "1 day", Type::kInterval), "0A000");
  EXPECT_EQ(field("fortnight", "1 day", Type::kInterval), "22023");
  EXPECT_EQ(field("epoch", "1 year 2 mons 3 days 04:05:06.789", Type::kInterval), "37015506.789000005");
  EXPECT_EQ(called("date_trunc", list(text("week"), typed("1 day", Type::kInterval))), "0A000");
  EXPECT_EQ(called("date_trunc", list(text("epoch"), typed("2026-01-31", Type::kTimestamptz))), "22023");
}

/// Units and zones that are constants are looked up once, and go through loops of their own: what comes out is what
/// comes for the same texts in columns.
TEST(Times, ConstantUnitsAndZonesGiveWhatColumnsOfThemGive) {
  std::vector<int64_t> times = {0,
                                -1,
                                1,
                                base::kMinTime,
                                base::kMaxTime,
                                base::kMaxTime - 1,
                                base::kMinTime + 1,
                                -210866803200 * base::kMicrosPerSecond,
                                -210866803200 * base::kMicrosPerSecond - 1,
                                *base::parse_timestamp("2026-03-29 02:30:00.5"),
                                *base::parse_timestamp("2026-10-25 00:30:00"),
                                *base::parse_timestamp("2024-02-29 23:59:59.999999"),
                                *base::parse_timestamp("0001-01-01")};
  uint64_t state = 1;
  for (int i = 0; i < 400; ++i) {
    state = state * 6364136223846793005 + 1442695040888963407;
    times.push_back(static_cast<int64_t>(state) >> (i % 40));
  }
  const size_t n = times.size();
  std::vector<uint8_t> present(n, 1);
  for (size_t i = 0; i < n; i += 7) present[i] = 0;
  std::vector<std::string_view> units(n), zones(n);
  batch::ColumnBatch batch;
  batch.row_count = n;
  batch.columns.resize(3);
  batch.columns[1] = {Type::kText, false, units.data(), nullptr};
  batch.columns[2] = {Type::kText, false, zones.data(), nullptr};
  const char* const kUnits[] = {"us",    "ms",      "second", "minute",  "hour",    "day",        "week",
                                "month", "quarter", "year",   "decade",  "century", "millennium", "timezone",
                                "dow",   "doy",     "isodow", "isoyear", "julian",  "epoch"};
  for (const Type type : {Type::kTimestamptz, Type::kTimestamp}) {
    batch.columns[0] = {type, true, times.data(), present.data()};
    for (const char* zone : {"UTC", "Europe/Berlin", "-5:30"}) {
      for (const char* unit : kUnits) {
        units.assign(n, unit);
        zones.assign(n, zone);
        const auto both = [&](const char* name, std::vector<ExprPtr> constant, std::vector<ExprPtr> by_row) {
          auto one = make_call(name, std::move(constant), {});
          auto other = make_call(name, std::move(by_row), {});
          ASSERT_TRUE(other.has_value());
          if (!one.has_value()) return;  // No unit of date_trunc.
          Evaluator a(std::move(*one), n), b(std::move(*other), n);
          ValueErrorCounts errors, errors_by_row;
          const batch::Column x = a.evaluate(batch, nullptr, errors), y = b.evaluate(batch, nullptr, errors_by_row);
          for (size_t i = 0; i < n; ++i) {
            ASSERT_EQ(value_text(value_at(x, i), x.type), value_text(value_at(y, i), y.type))
                << name << ' ' << unit << ' ' << zone << ' ' << times[i];
          }
          EXPECT_EQ(errors.total(), errors_by_row.total()) << name << ' ' << unit;
        };
        const auto time = [&] { return column(0, type); };
        const auto literal = [](const char* value) { return make_literal(std::string(value), Type::kText); };
        both("extract", list(literal(unit), time()), list(column(1, Type::kText), time()));
        both("date_trunc", list(literal(unit), time()), list(column(1, Type::kText), time()));
        both("date_trunc", list(literal(unit), time(), literal(zone)),
             list(column(1, Type::kText), time(), column(2, Type::kText)));
        both("timezone", list(literal(zone), time()), list(column(2, Type::kText), time()));
      }
    }
  }
}

TEST(Times, BinScaleAndEpoch) {
  const auto bin = [](const char* stride, const char* time, const char* origin) {
    return called("date_bin", list(typed(stride, Type::kInterval), typed(time, Type::kTimestamptz),
                                   typed(origin, Type::kTimestamptz)));
  };
  EXPECT_EQ(bin("1 mon", "2026-01-31", "2026-01-01"), "0A000");
  EXPECT_EQ(bin("-1 day", "2026-01-31", "2026-01-01"), "22008");
  EXPECT_EQ(bin("1 day", "2026-01-31", "infinity"), "22008");
  EXPECT_EQ(bin("0", "infinity", "infinity"), "infinity");
  EXPECT_EQ(op("/", typed("1 day", Type::kInterval), typed("7", Type::kFloat8)), "03:25:42.857143");
  EXPECT_EQ(op("*", typed("1 day", Type::kInterval), typed("-2147483648", Type::kFloat8)), "-2147483648 days");
  EXPECT_EQ(called("to_timestamp", list(typed("-16.1064685", Type::kFloat8))), "1969-12-31 23:59:43.893532+00");
}

TEST(Constants, DecideBeforeAnythingIsComputed) {
  const auto division = [] {  // 1 / column 0: an error for 0
    auto made = make_operator("/", list(integer(1), column(0, Type::kInt4)), {});
    EXPECT_TRUE(made);
    return std::move(*made);
  };
  EXPECT_EQ(folded(make_operator("+", list(division(), make_literal(Value{}, Type::kInt4)), {})), "NULL");
  auto positive = make_operator(">", list(division(), integer(0)), {});
  ASSERT_TRUE(positive);
  EXPECT_EQ(folded(make_and(list(std::move(*positive), make_literal(false, Type::kBool)), {})), "f");
  EXPECT_EQ(folded(make_coalesce(list(make_literal(Value{}, Type::kInt4), integer(5), division()), {})), "5");
  std::vector<ExprPtr> whens = list(make_literal(false, Type::kBool)), thens = list(division());
  EXPECT_EQ(folded(make_case(nullptr, std::move(whens), std::move(thens), integer(2), {})), "2");
}

TEST(Overloads, OfNullifAndUntypedLiterals) {
  const auto type_of_nullif = [](ExprPtr a, ExprPtr b) {
    const auto made = make_nullif(std::move(a), std::move(b), {});
    return made ? (*made)->type : Type::kUnknown;
  };
  EXPECT_EQ(type_of_nullif(text("7"), column(0, Type::kInt8)), Type::kInt8);
  EXPECT_EQ(type_of_nullif(column(0, Type::kCidr), column(1, Type::kInet)), Type::kInet);
  EXPECT_EQ(type_of_nullif(column(0, Type::kInt8), column(1, Type::kFloat8)), Type::kFloat8);
  EXPECT_EQ(type_of_nullif(column(0, Type::kInt4), column(1, Type::kInt8)), Type::kInt4);
  EXPECT_EQ(folded(make_operator("-", list(text("1 day")), {})), "42725");
  EXPECT_EQ(called("substring", list(text("abc"), text("b"))), "0A000");
}

}  // namespace
}  // namespace backstream::expr
