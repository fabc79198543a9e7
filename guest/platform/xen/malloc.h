// malloc, free and their like, operator new and delete: one Heap on AllocatePages, for all CPUs.
//
// operator new that may not fail ends the domain when memory is exhausted. Memory is not zeroed but by
// calloc.
#pragma once

#include <cstddef>

namespace librettos::xen {

// Called once by KernelMain, when there are pages and Random.
void InitMalloc();

size_t HeapPageCount();

}  // namespace librettos::xen
