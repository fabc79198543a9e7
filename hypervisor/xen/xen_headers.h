// Xen's C libraries: their 4.17 headers lack extern "C".
#pragma once

extern "C" {
#include <libxl.h>
#include <libxl_utils.h>
#include <xenctrl.h>
#include <xengnttab.h>
#include <xenstore.h>
#include <xentoollog.h>
}

// Wants what those declare.
extern "C" {
#include <xen/hvm/save.h>
}
