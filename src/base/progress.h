#pragma once
#include <functional>
#include <string>

namespace pare {

// The library never prints: long work tells how far it is, main decides what a person sees.
// done/total in the work's own unit; total 0 where unknown.
using Progress = std::function<void(const std::string& what, double done, double total)>;

// Set by a signal handler; long loops ask it between units of work and stop with what they have.
bool interrupted();
int interruptions();     // how often; work that can end early and still give a result lets what follows it go on
void set_interrupted();

}  // namespace pare
