#pragma once
#include <memory>
#include <string>

#include "catalog/catalog.h"

namespace backstream::catalog {

/// A catalog in one file, held by one process. A change is on the disk when apply() returns, and a kill at any instant
/// leaves all of it or nothing (SQLite's write-ahead log, synchronous=FULL). Every row carries a checksum.
///
/// Errors: 55006 another process has it; XX001 the file is damaged or none of ours, 0A000 of a later version: it is
/// left as it is, and the hint says how to mend that; 58030 it cannot be opened.
/// @param path  made where it is missing
Result<std::unique_ptr<Catalog>> open_sqlite_catalog(const std::string& path);

}  // namespace backstream::catalog
