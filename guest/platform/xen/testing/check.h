// Checks that run inside an image and are told on the console, one line each: "ok <name>" or "FAILED <name>".
#pragma once

#include <string_view>

namespace librettos::xen {

void Check(std::string_view name, bool holds);

void CheckPageTable();
void CheckMemory();
void CheckHeap();
void CheckProcessor();
void CheckCpus();  // Needs a second CPU.

}  // namespace librettos::xen
