// librettosctl channel …
#include <memory>
#include <string>
#include <vector>

#include "client/commands/flags.h"
#include "client/commands/nouns.h"
#include "client/commands/units.h"
#include "client/commands/verbs.h"
#include "client/names.h"

namespace librettos::ctl {

template <>
struct View<v1::Channel> {
  static constexpr char kCollection[] = "channels";
  using List = v1::ListChannelsResponse;
  static auto* Items(List& list) { return list.mutable_channels(); }

  static Cell State(const v1::Channel& channel) {
    const auto state = channel.state();
    return Cell(EnumText(state), state == v1::Channel::CONNECTED ? Colour::kGood
                                 : state == v1::Channel::CLOSED  ? Colour::kBad
                                                                 : Colour::kBusy);
  }
  static std::string Role(const v1::Channel& channel) {
    return channel.role() == v1::Channel::ROLE_ACTIVE    ? "ACTIVE"
           : channel.role() == v1::Channel::ROLE_STANDBY ? "STANDBY"
                                                         : EnumText(channel.role());
  }

  static std::vector<Table::Column> Columns(bool wide) {
    std::vector<Table::Column> columns = {"NAME", "SERVER", "ROLE", "STATE", "ERROR"};
    if (wide) columns.insert(columns.end(), {{"QUEUE-PAIRS", true}, {"ENTRIES", true}, {"SLOT", true}});
    return columns;
  }
  static std::vector<Cell> Row(const v1::Channel& channel, bool wide, absl::Time) {
    std::vector<Cell> row = {channel.name(), channel.server(), Role(channel), State(channel),
                             channel.error()};
    if (wide) {
      row.insert(row.end(), {absl::StrCat(channel.queue_pairs()), absl::StrCat(channel.entries()),
                             Bytes(channel.slot_bytes())});
    }
    return row;
  }
  static void Describe(const v1::Channel& channel, absl::Time, Description& d) {
    d.Add("Name", channel.name());
    d.Add("State", State(channel));
    if (!channel.error().empty()) d.Add("Closed for", Cell(channel.error(), Colour::kBad));
    d.Add("Server", channel.server());
    d.Add("Role", Role(channel));
    d.Section("Rings");
    d.Add("Queue pairs", absl::StrCat(channel.queue_pairs()));
    d.Add("Descriptors per ring", absl::StrCat(channel.entries()));
    d.Add("Bytes per slot", absl::StrCat(channel.slot_bytes()));
  }
};

void AddChannelCommands(CLI::App* app, Context* context) {
  CLI::App* noun = app->add_subcommand("channel", "Channels: shared memory between a guest and a server")
                       ->require_subcommand(1);
  auto guest = std::make_shared<std::string>();
  CLI::App* list = AddList<v1::Channel>(
      noun, context, [guest](Client& client) { return client.ListChannels(FullName("guests", *guest)); });
  list->add_option("--guest", *guest, "Of this guest only")->type_name("GUEST");
  // A channel's name is "guests/{guest}/channels/{domain}": there is no short form of it.
  AddDescribe<v1::Channel>(noun, context, &Client::GetChannel);
}

}  // namespace librettos::ctl
