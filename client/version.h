// Version of the client.
#pragma once

namespace librettos {

inline constexpr char kVersion[] = "0.1.0";
// The API's protobuf package.
inline constexpr char kApi[] = "librettos.v1";

}  // namespace librettos
