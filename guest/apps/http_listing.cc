#include "guest/apps/http_listing.h"

#include <algorithm>
#include <cstring>
#include <new>

#include "guest/apps/http_path.h"

namespace librettos::apps {
namespace {

struct Entry {
  uint32_t offset;
  uint16_t length;
  bool directory;
  uint64_t size;
};

struct Collection {
  std::unique_ptr<Entry[]> entries;
  std::unique_ptr<char[]> names;
  size_t count = 0;
  size_t used = 0;
  bool more = false;

  std::string_view name(const Entry& entry) const { return {names.get() + entry.offset, entry.length}; }
};

void Collect(void* context, std::string_view name, const FileInfo& info) {
  auto& all = *static_cast<Collection*>(context);
  if (name.empty() || name == "." || name == ".." || name.size() > UINT16_MAX) return;
  if (all.count == kMaxListedEntries || name.size() > kMaxListedBytes - all.used) {
    all.more = true;
    return;
  }
  std::memcpy(all.names.get() + all.used, name.data(), name.size());
  all.entries[all.count++] = {static_cast<uint32_t>(all.used), static_cast<uint16_t>(name.size()),
                              info.directory, info.size};
  all.used += name.size();
}

void Write(const Collection& all, std::string_view path, Text& out) {
  out.Add("<!DOCTYPE html>\n<html><head><meta charset=\"utf-8\"><title>");
  AddHtml(out, path == "." ? std::string_view("/") : path);
  out.Add("</title></head>\n<body><h1>");
  AddHtml(out, path == "." ? std::string_view("/") : path);
  out.Add("</h1>\n<table>\n");
  if (path != ".") out.Add("<tr><td><a href=\"../\">../</a></td><td></td></tr>\n");
  for (size_t i = 0; i < all.count; ++i) {
    const Entry& entry = all.entries[i];
    // "./" keeps a name with a colon from being read as a scheme.
    out.Add("<tr><td><a href=\"./");
    AddUrlSegment(out, all.name(entry));
    out.Add(entry.directory ? "/\">" : "\">");
    AddHtml(out, all.name(entry));
    out.Add(entry.directory ? "/</a></td><td>" : "</a></td><td>");
    if (!entry.directory) out.AddNumber(entry.size);
    out.Add("</td></tr>\n");
  }
  out.Add("</table>\n");
  if (all.more) out.Add("<p>There are more entries than are listed.</p>\n");
  out.Add("</body></html>\n");
}

}  // namespace

Result<Page> ListDirectory(Files& files, std::string_view path) {
  Collection all;
  all.entries.reset(new (std::nothrow) Entry[kMaxListedEntries]);
  all.names.reset(new (std::nothrow) char[kMaxListedBytes]);
  if (all.entries == nullptr || all.names == nullptr) return Error::kExhausted;
  if (Status listed = files.List(path, Collect, &all); !listed.ok()) return listed.error();
  std::sort(all.entries.get(), all.entries.get() + all.count,
            [&all](const Entry& a, const Entry& b) { return all.name(a) < all.name(b); });
  // The most that escaping can make of it: 6 bytes of HTML and 3 of a URL for each byte of a name.
  const size_t most = 1024 + 12 * path.size() + all.count * 96 + 9 * all.used;
  Page page;
  page.text.reset(new (std::nothrow) char[most]);
  if (page.text == nullptr) return Error::kExhausted;
  Text out({page.text.get(), most});
  Write(all, path, out);
  page.size = out.view().size();
  return page;
}

}  // namespace librettos::apps
