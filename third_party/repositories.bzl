"""The libraries of the system that morsel and its tests are built with."""

load("//third_party:pkg_config.bzl", "pkg_config_repository")
load("//third_party:system_headers.bzl", "system_headers_repository")

# buildifier: disable=unnamed-macro
def system_libraries():
    """Declares one repository for each; //third_party says what is in it."""
    pkg_config_repository(
        name = "libpmem2",
        build_file = Label("//third_party:libpmem2.BUILD"),
        debian = "libpmem2-dev",
        headers = [
            "libpmem2.h",
            "libpmem2",
        ],
        package = "libpmem2",
    )
    pkg_config_repository(
        name = "liblz4",
        build_file = Label("//third_party:liblz4.BUILD"),
        debian = "liblz4-dev",
        headers = ["lz4.h"],
        package = "liblz4",
    )
    pkg_config_repository(
        name = "liburing",
        build_file = Label("//third_party:liburing.BUILD"),
        debian = "liburing-dev",
        headers = [
            "liburing",
            "liburing.h",
        ],
        package = "liburing",
    )
    pkg_config_repository(
        name = "libxxhash",
        build_file = Label("//third_party:libxxhash.BUILD"),
        debian = "libxxhash-dev",
        headers = [
            "xxh3.h",
            "xxhash.h",
        ],
        package = "libxxhash",
    )
    pkg_config_repository(
        name = "libzstd",
        build_file = Label("//third_party:libzstd.BUILD"),
        debian = "libzstd-dev",
        headers = ["zstd.h"],
        package = "libzstd",
    )
    pkg_config_repository(
        name = "cli11",
        build_file = Label("//third_party:cli11.BUILD"),
        debian = "libcli11-dev",
        headers = ["CLI"],
        package = "CLI11",
    )
    pkg_config_repository(
        name = "nlohmann_json",
        build_file = Label("//third_party:nlohmann_json.BUILD"),
        debian = "nlohmann-json3-dev",
        headers = ["nlohmann"],
        package = "nlohmann_json",
    )
    pkg_config_repository(
        name = "google_benchmark",
        build_file = Label("//third_party:google_benchmark.BUILD"),
        debian = "libbenchmark-dev",
        headers = ["benchmark"],
        package = "benchmark",
    )

# buildifier: disable=unnamed-macro
def container_libraries():
    """Declares one repository for each library that only //tests/containers is linked with."""
    pkg_config_repository(
        name = "abseil",
        build_file = Label("//third_party:abseil.BUILD"),
        debian = "libabsl-dev",
        headers = ["absl"],
        package = "absl_flat_hash_map absl_node_hash_map absl_btree",
    )
    system_headers_repository(
        name = "robin_map",
        build_file = Label("//third_party:robin_map.BUILD"),
        debian = "robin-map-dev",
        headers = ["tsl"],
    )

# buildifier: disable=unnamed-macro
def rivals():
    """Declares one repository for each library that only //bench is linked with."""
    system_headers_repository(
        name = "boost",
        build_file = Label("//third_party:boost.BUILD"),
        debian = "libboost-dev",
        headers = ["boost"],
    )
    pkg_config_repository(
        name = "jemalloc",
        build_file = Label("//third_party:jemalloc.BUILD"),
        debian = "libjemalloc-dev",
        headers = ["jemalloc"],
        package = "jemalloc",
    )
    pkg_config_repository(
        name = "libpmem",
        build_file = Label("//third_party:libpmem.BUILD"),
        debian = "libpmem-dev",
        headers = ["libpmem.h"],
        package = "libpmem",
    )
    pkg_config_repository(
        name = "libpmemobj",
        build_file = Label("//third_party:libpmemobj.BUILD"),
        debian = "libpmemobj-dev",
        headers = [
            "libpmemobj",
            "libpmemobj.h",
        ],
        package = "libpmemobj",
    )
    pkg_config_repository(
        name = "lmdb",
        build_file = Label("//third_party:lmdb.BUILD"),
        debian = "liblmdb-dev",
        headers = ["lmdb.h"],
        optional = True,
        package = "lmdb",
    )
    pkg_config_repository(
        name = "memkind",
        build_file = Label("//third_party:memkind.BUILD"),
        debian = "libmemkind-dev",
        headers = ["memkind.h"],
        package = "memkind",
    )
    system_headers_repository(
        name = "mimalloc",
        build_file = Label("//third_party:mimalloc.BUILD"),
        debian = "libmimalloc-dev",
        headers = ["mimalloc.h"],
    )
    pkg_config_repository(
        name = "rocksdb",
        build_file = Label("//third_party:rocksdb.BUILD"),
        debian = "librocksdb-dev",
        headers = ["rocksdb"],
        optional = True,
        package = "rocksdb",
    )
    pkg_config_repository(
        name = "sqlite3",
        build_file = Label("//third_party:sqlite3.BUILD"),
        debian = "libsqlite3-dev",
        headers = ["sqlite3.h"],
        optional = True,
        package = "sqlite3",
    )
