// Pools that this process has open for reading, each once, however many handles it has of it.
//
// A morsel has one address. So that two parts of a program may read the same one, each by a handle
// of its own, their handles are the same and counted, as those of a morsel are.
#pragma once

#include <memory>

#include "base/result.h"
#include "morsel/open/open_pool.h"

namespace morsel {

/// Opens the pool at `path` as OpenPool::Open() does. If it is opened for reading, and this process
/// has the same directory or file open for reading already, that is counted once more. Pools that
/// are open for writing are each their own.
/// Ownership  the caller ends it with one CloseCountedPool().
/// Threads    any.
Result<OpenPool*> OpenCountedPool(const char* path, const morsel_pool_options* options,
                                  os::SystemCalls& calls);

/// Ends one OpenCountedPool().
/// Errors   as OpenPool::MayClose(), for the last of them: it stays open. As impl::Pool's
///          CheckIsKept(): it is closed all the same.
/// Threads  any.
Status CloseCountedPool(OpenPool* pool);

}  // namespace morsel
