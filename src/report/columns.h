#pragma once
#include <limits>
#include <span>
#include <string>
#include <vector>

#include "base/row.h"
#include "report/recommend.h"

namespace pare {

// What one column says about one row.
struct Cell {
  std::string text;                                         // empty: nothing to say
  std::string hint;                                         // more, for those who ask
  double order = std::numeric_limits<double>::quiet_NaN();  // sorts by this; by text where it is no number
  bool bar = false;                                         // draw `order` as a bar, zero to the column's largest
  int tone = 0;  // 1 an improvement that is certain, −1 a change for the worse that is certain
};

struct Sheet;

struct Column {
  const char *key, *title;
  const char* unit;  // "{metric}", "{value}" and "{change}" stand for the table's metric and its units
  const char* help;
  Cell (*cell)(const Sheet& sheet, size_t row);
};
std::span<const Column> columns();

// A table made ready for printing. Columns in which no row says anything are left out.
struct Sheet {
  explicit Sheet(const Table& the_table);

  const Table& table;
  std::vector<std::string> names;
  Choice choice;
  std::vector<const Column*> columns;
  std::vector<std::vector<Cell>> cells;  // [row][column]

  const Row& row(size_t i) const { return table.rows[i]; }
  const Row& baseline() const { return table.rows[0]; }
  std::string unit(const Column& column) const;
  // Why energy was not measured, or how; once for the whole table. Empty where nobody said.
  std::string energy_note() const;
};

}  // namespace pare
