// The domain's console: a ring that xenconsoled reads (xen/include/public/io/console.h).
#pragma once

namespace librettos::xen {

// Has Log and Panic write there from now on; text that does not fit is dropped, nothing waits. Without a ring
// nothing changes. InitSharedInfo before.
void InitConsoleRing();

}  // namespace librettos::xen
