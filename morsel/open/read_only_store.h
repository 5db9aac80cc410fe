// A sentence for stores into morsels that are open for reading only, which end the process.
#pragma once

namespace morsel {

/// Lets the process say on standard error, when it is ended by a store into a morsel that it has
/// open for reading only, which morsel and which offset that was. Then the signal, SIGSEGV, takes
/// its default action at the store itself, so that debuggers and core files show that.
///
/// This is so only where nobody else wants the signal: where the program handles or ignores it,
/// nothing is changed and nothing said. A handler that the program sets later takes the place of
/// this one; it may pass signals on to it, which end the process as by default.
/// Threads  any.
void ExplainStoresWhereReadOnly();

}  // namespace morsel
