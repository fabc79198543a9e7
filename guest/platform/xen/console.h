// Where Log and Panic of platform.h write: port 0xE9, and COM1 if there is one, until the console ring is up.
//
// Threading: any CPU; a line is written in one piece.
#pragma once

#include <string_view>

namespace librettos::xen {

// From now on lines go to `write` and no longer to the ports. It is called with one or more whole pieces of
// text, must not block or allocate, and may drop. Reports of a crash go to both. nullptr: the ports again.
void SetConsole(void (*write)(std::string_view text));

// Text as it is, for reports made of several pieces.
void WriteConsole(std::string_view text);

// Called once by KernelMain, first of all.
void InitConsole();

// From now on everything goes to the ports as well, and no lock is waited for.
void EnterCrashConsole();

}  // namespace librettos::xen
