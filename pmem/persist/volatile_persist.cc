#include "pmem/persist/persist.h"

namespace morsel::pmem {

constexpr PersistTable kVolatileTable = {
    .flush = [](void*, const void*, size_t) {},
    .fence = [](void*) {},
};

}  // namespace morsel::pmem
