#include "guest/platform/xen/hypercall.h"

#include "guest/platform/xen/cpu.h"
#include "guest/platform/xen/memory.h"
#include "guest/platform/xen/xen_cpuid.h"

extern "C" char HypercallPage[];

namespace librettos::xen {
namespace {

constinit bool on_xen = false;

}  // namespace

bool InitHypercalls() {
  const uint32_t base = XenCpuIdBase();
  if (base == 0) return false;
  // Leaf base + 2: EBX is the MSR that takes the page's guest-physical address.
  const uint32_t msr = ReadCpuId(base + 2).ebx;
  WriteMsr(msr, AddressOf(HypercallPage) - kImageOffset);
  on_xen = true;
  return true;
}

bool OnXen() { return on_xen; }

uint64_t HvmParameter(uint32_t index) {
  xen_hvm_param_t parameter = {};
  parameter.domid = DOMID_SELF;
  parameter.index = index;
  return HvmOp(HVMOP_get_param, &parameter) == 0 ? parameter.value : 0;
}

}  // namespace librettos::xen
