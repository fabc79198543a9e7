// Further CPUs, as Xen starts them.
#pragma once

namespace librettos::xen {

// Sets the CpuStarter of cpu.h. InitHypercalls before.
void InitCpuStarter();

}  // namespace librettos::xen
