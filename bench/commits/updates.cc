// A store of records, of which one after another gets a new value, and each is durable before the
// next: as a map in a morsel, and by what Debian has for it. Prints JSON, or with --list the names
// of what was there when this was built.
#include <CLI/CLI.hpp>
#include <algorithm>
#include <array>
#include <cinttypes>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "bench/commits/full_morsel.h"
#include "bench/meter.h"
#include "bench/random.h"
#include "morsel/morsel.hpp"

#ifdef BENCH_HAS_LMDB
#include <lmdb.h>
#endif
#ifdef BENCH_HAS_ROCKSDB
#include <rocksdb/db.h>
#endif
#ifdef BENCH_HAS_SQLITE3
#include <sqlite3.h>
#endif

namespace bench {
namespace {

using Value = std::array<char, 100>;

class Records {
 public:
  virtual ~Records() = default;
  /// All of them, in the order of their keys.
  virtual void Fill(uint64_t count, const Value& value) = 0;
  /// Durable on return.
  virtual void Update(uint64_t key, const Value& value) = 0;
  virtual Value Find(uint64_t key) = 0;
};

class InMorsel : public Records {
 public:
  explicit InMorsel(const std::string& folder)
      : pool_(Take(morsel::Pool::open((folder + "/pool").c_str(), {.flags = MORSEL_CREATE}))),
        morsel_(Take(morsel::Morsel::open(pool_, "records", {.flags = MORSEL_CREATE}))),
        map_(morsel_.find_or_make<Map>("records")) {
    if (map_ == nullptr) Fail("making a map", morsel::last_error());
  }
  ~InMorsel() override { (void)morsel_.discard(); }

  void Fill(uint64_t count, const Value& value) override {
    map_->reserve(count);
    for (uint64_t key = 0; key < count; ++key) map_->emplace(key, value);
    if (!morsel_.checkpoint().ok()) Fail("storing all", morsel::last_error());
  }
  void Update(uint64_t key, const Value& value) override {
    morsel::Update update(morsel_);
    map_->find(key)->second = value;
    if (!update.commit().ok()) Fail("committing", morsel::last_error());
  }
  Value Find(uint64_t key) override { return map_->at(key); }

 private:
  using Map = std::unordered_map<uint64_t, Value, std::hash<uint64_t>, std::equal_to<>,
                                 morsel::Allocator<std::pair<const uint64_t, Value>>>;
  template <class Opened>
  static Opened&& Take(morsel::Result<Opened>&& opened) {
    if (!opened) Fail("opening", morsel::last_error());
    return std::move(*opened);
  }

  morsel::Pool pool_;
  morsel::Morsel morsel_;
  Map* map_;
};

#ifdef BENCH_HAS_LMDB
/// By default options: a commit is in the file, synced, when it returns.
class InLmdb : public Records {
 public:
  explicit InLmdb(const std::string& folder) {
    Take(mdb_env_create(&environment_));
    Take(mdb_env_set_mapsize(environment_, size_t{64} << 30));
    Take(mdb_env_open(environment_, folder.c_str(), 0, 0600));
    MDB_txn* const change = Begin(0);
    Take(mdb_dbi_open(change, nullptr, MDB_INTEGERKEY, &database_));
    Take(mdb_txn_commit(change));
  }
  ~InLmdb() override { mdb_env_close(environment_); }

  void Fill(uint64_t count, const Value& value) override {
    MDB_txn* const change = Begin(0);
    for (uint64_t key = 0; key < count; ++key) Put(change, key, value, MDB_APPEND);
    Take(mdb_txn_commit(change));
  }
  void Update(uint64_t key, const Value& value) override {
    MDB_txn* const change = Begin(0);
    Put(change, key, value, 0);
    Take(mdb_txn_commit(change));
  }
  Value Find(uint64_t key) override {
    MDB_txn* const look = Begin(MDB_RDONLY);
    MDB_val name = {sizeof key, &key};
    MDB_val found{};
    Take(mdb_get(look, database_, &name, &found));
    Value value;
    std::memcpy(value.data(), found.mv_data, value.size());
    mdb_txn_abort(look);
    return value;
  }

 private:
  static void Take(int result) {
    if (result != 0) Fail("LMDB", mdb_strerror(result));
  }
  MDB_txn* Begin(unsigned flags) {
    MDB_txn* transaction = nullptr;
    Take(mdb_txn_begin(environment_, nullptr, flags, &transaction));
    return transaction;
  }
  void Put(MDB_txn* change, uint64_t key, const Value& value, unsigned flags) const {
    MDB_val name = {sizeof key, &key};
    MDB_val bytes = {value.size(), const_cast<char*>(value.data())};
    Take(mdb_put(change, database_, &name, &bytes, flags));
  }

  MDB_env* environment_ = nullptr;
  MDB_dbi database_ = 0;
};
#endif

#ifdef BENCH_HAS_SQLITE3
/// With its write-ahead log, synced at each commit.
class InSqlite : public Records {
 public:
  explicit InSqlite(const std::string& folder) {
    Take(sqlite3_open((folder + "/sqlite").c_str(), &database_));
    Run("pragma journal_mode = wal; pragma synchronous = full;"
        "create table records (key integer primary key, value blob not null)");
    put_ = Prepare("replace into records values (?, ?)");
    find_ = Prepare("select value from records where key = ?");
  }
  ~InSqlite() override {
    sqlite3_finalize(put_);
    sqlite3_finalize(find_);
    sqlite3_close(database_);
  }

  void Fill(uint64_t count, const Value& value) override {
    Run("begin");
    for (uint64_t key = 0; key < count; ++key) Update(key, value);
    Run("commit");
    Run("pragma wal_checkpoint(truncate)");
  }
  void Update(uint64_t key, const Value& value) override {
    Take(sqlite3_bind_int64(put_, 1, static_cast<sqlite3_int64>(key)));
    Take(sqlite3_bind_blob(put_, 2, value.data(), static_cast<int>(value.size()), SQLITE_STATIC));
    if (sqlite3_step(put_) != SQLITE_DONE) Fail("SQLite", sqlite3_errmsg(database_));
    Take(sqlite3_reset(put_));
  }
  Value Find(uint64_t key) override {
    Take(sqlite3_bind_int64(find_, 1, static_cast<sqlite3_int64>(key)));
    if (sqlite3_step(find_) != SQLITE_ROW) Fail("SQLite", sqlite3_errmsg(database_));
    Value value;
    std::memcpy(value.data(), sqlite3_column_blob(find_, 0), value.size());
    Take(sqlite3_reset(find_));
    return value;
  }

 private:
  void Take(int result) {
    if (result != SQLITE_OK) Fail("SQLite", sqlite3_errmsg(database_));
  }
  void Run(const char* text) { Take(sqlite3_exec(database_, text, nullptr, nullptr, nullptr)); }
  sqlite3_stmt* Prepare(const char* text) {
    sqlite3_stmt* statement = nullptr;
    Take(sqlite3_prepare_v2(database_, text, -1, &statement, nullptr));
    return statement;
  }

  sqlite3* database_ = nullptr;
  sqlite3_stmt* put_ = nullptr;
  sqlite3_stmt* find_ = nullptr;
};
#endif

#ifdef BENCH_HAS_ROCKSDB
/// Each write is synced.
class InRocksdb : public Records {
 public:
  explicit InRocksdb(const std::string& folder) {
    rocksdb::Options options;
    options.create_if_missing = true;
    rocksdb::DB* opened = nullptr;
    Take(rocksdb::DB::Open(options, folder + "/rocksdb", &opened));
    database_.reset(opened);
  }

  void Fill(uint64_t count, const Value& value) override {
    for (uint64_t key = 0; key < count; ++key) Put(key, value, false);
    Take(database_->Flush(rocksdb::FlushOptions()));
  }
  void Update(uint64_t key, const Value& value) override { Put(key, value, true); }
  Value Find(uint64_t key) override {
    std::string found;
    Take(database_->Get(rocksdb::ReadOptions(), Name(key), &found));
    Value value;
    std::memcpy(value.data(), found.data(), value.size());
    return value;
  }

 private:
  static void Take(const rocksdb::Status& status) {
    if (!status.ok()) Fail("RocksDB", status.ToString().c_str());
  }
  static std::string Name(uint64_t key) {
    std::string name(sizeof key, '\0');
    for (size_t i = 0; i < sizeof key; ++i) name[i] = static_cast<char>(key >> (56 - 8 * i));
    return name;
  }
  void Put(uint64_t key, const Value& value, bool is_synced) {
    rocksdb::WriteOptions options;
    options.sync = is_synced;
    Take(database_->Put(options, Name(key), rocksdb::Slice(value.data(), value.size())));
  }

  std::unique_ptr<rocksdb::DB> database_;
};
#endif

template <class Way>
std::unique_ptr<Records> Open(const std::string& folder) {
  return std::make_unique<Way>(folder);
}

const std::map<std::string, std::unique_ptr<Records> (*)(const std::string&)> kWays = {
    {"morsel", Open<InMorsel>},
#ifdef BENCH_HAS_LMDB
    {"lmdb", Open<InLmdb>},
#endif
#ifdef BENCH_HAS_SQLITE3
    {"sqlite", Open<InSqlite>},
#endif
#ifdef BENCH_HAS_ROCKSDB
    {"rocksdb", Open<InRocksdb>},
#endif
};

struct Options {
  std::string folder;
  std::string way;
  bool list = false;
  uint64_t records = 500'000;
  uint64_t near = 0;  // so many neighbours are updated; 0: all
  uint64_t updates = 1000;
  uint64_t warm = 200;
};

void Measure(const Options& options, Records& records) {
  Value value{};
  records.Fill(options.records, value);
  Random random(1);
  std::map<uint64_t, uint64_t> newest;
  std::vector<uint64_t> all;
  const uint64_t choices = options.near != 0 ? options.near : options.records;
  const uint64_t first = (options.records - choices) / 2;
  for (uint64_t i = 1; i <= options.warm + options.updates; ++i) {
    const uint64_t key = first + random.Below(choices);
    std::memcpy(value.data(), &i, sizeof i);
    const uint64_t begin = WallNs();
    records.Update(key, value);
    if (i > options.warm) all.push_back(WallNs() - begin);
    newest[key] = i;
  }
  for (const auto& [key, update] : newest) {
    uint64_t found = 0;
    std::memcpy(&found, records.Find(key).data(), sizeof found);
    if (found != update) Fail(options.way.c_str(), "an update is lost");
  }
  std::sort(all.begin(), all.end());
  std::printf("{\"median_ns\": %" PRIu64 ", \"p99_ns\": %" PRIu64 "}\n", all[all.size() / 2],
              all[all.size() * 99 / 100]);
}

}  // namespace
}  // namespace bench

int main(int count, char** words) {
  bench::Options options;
  CLI::App app{"Updates records, one by one"};
  app.add_option("--folder", options.folder, "an empty one");
  app.add_option("--way", options.way, "by what");
  app.add_flag("--list", options.list, "the ways");
  app.add_option("--records", options.records)->check(CLI::Range(1, 1 << 30));
  app.add_option("--near", options.near, "so many neighbours are updated");
  app.add_option("--updates", options.updates)->check(CLI::Range(1, 1 << 30));
  app.add_option("--warm", options.warm, "updates before");
  CLI11_PARSE(app, count, words);
  if (options.list) {
    for (const auto& [name, open] : bench::kWays) std::printf("%s\n", name.c_str());
    return 0;
  }
  const auto found = bench::kWays.find(options.way);
  if (found == bench::kWays.end() || options.near > options.records) {
    bench::Fail(options.way.c_str(), "there is no such way");
  }
  const std::unique_ptr<bench::Records> records = found->second(options.folder);
  bench::Measure(options, *records);
  return 0;
}
