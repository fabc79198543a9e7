// What must end the domain with a report.
#pragma once

#include <string_view>

namespace librettos::xen {

// Does what the word after "fatal=" in `command_line` names. True: it is unknown or did not end the domain;
// false: there is no such word.
bool RunFatal(std::string_view command_line);

}  // namespace librettos::xen
