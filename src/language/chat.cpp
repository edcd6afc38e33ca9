// Chats as text. A template is a program in Jinja; nearly all models write one of a few forms, known by their markers.
#include "base/error.h"
#include "language/text_model.h"

namespace pare {
namespace {

struct ChatForm {
  const char *name, *marker;                       // in the template
  const char *before, *between, *behind;           // role, content
  const char* answer;                              // what an answer begins with
};
constexpr ChatForm kForms[] = {
    {"ChatML", "<|im_start|>", "<|im_start|>", "\n", "<|im_end|>\n", "<|im_start|>assistant\n"},
    {"Llama 3", "<|start_header_id|>", "<|start_header_id|>", "<|end_header_id|>\n\n", "<|eot_id|>", "<|start_header_id|>assistant<|end_header_id|>\n\n"},
    {"Zephyr", "<|assistant|>", "<|", "|>\n", "</s>\n", "<|assistant|>\n"},
};

// Some templates put a message of their own where no system message is given: its text stands in the template.
std::string own_system_message(const std::string& chat_template, const ChatForm& form) {
  if (chat_template.find("!= 'system'") == std::string::npos) return "";
  const std::string start = std::string(form.before) + "system" + form.between;
  size_t at = chat_template.find(start);
  if (at == std::string::npos) return "";
  at += start.size();
  const std::string end(form.behind, std::string(form.behind).find_last_not_of('\n') + 1);
  const size_t stop = chat_template.find(end, at);
  const std::string text = stop == std::string::npos ? "" : chat_template.substr(at, stop - at);
  return text.find_first_of("{}'") == std::string::npos ? text : "";   // more program, no text
}

// [INST] of Llama 2 and Mistral: the system message lies within the first user message.
std::string instruction_text(const std::vector<ChatMessage>& messages) {
  std::string text, system;
  for (const ChatMessage& message : messages) {
    if (message.role == "system") system = "<<SYS>>\n" + message.content + "\n<</SYS>>\n\n";
    else if (message.role == "user") text += "[INST] " + std::exchange(system, "") + message.content + " [/INST]";
    else text += " " + message.content + " ";
  }
  return text;
}

}  // namespace

std::string chat_text(const std::string& chat_template, const std::vector<ChatMessage>& messages) {
  if (chat_template.empty()) throw Error("chat", "the model has no chat template: it continues texts", "leave --chat out");
  for (const ChatForm& form : kForms) {
    if (chat_template.find(form.marker) == std::string::npos) continue;
    std::vector<ChatMessage> all = messages;
    if (all.empty() || all[0].role != "system")
      if (const std::string own = own_system_message(chat_template, form); !own.empty()) all.insert(all.begin(), {"system", own});
    std::string text;
    for (const ChatMessage& message : all) text += form.before + message.role + form.between + message.content + form.behind;
    return text + form.answer;
  }
  if (chat_template.find("[INST]") != std::string::npos) return instruction_text(messages);
  throw Error("chat", "the model's chat template is of a form that is not known", "known: ChatML, Llama 2 and 3, Mistral, Zephyr; write the prompt as the template would, without --chat");
}

}  // namespace pare
