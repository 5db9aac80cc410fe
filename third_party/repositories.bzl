"""The libraries of the system that morsel and its tests are built with."""

load("//third_party:pkg_config.bzl", "pkg_config_repository")

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
