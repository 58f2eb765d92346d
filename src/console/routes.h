#pragma once
#include <span>

#include "console/assets.h"
#include "http/router.h"

namespace backstream::console {

/// The pages for browsers: GET / and one address a page, as read_view() of console/src/state/view.ts knows them (all
/// of them index.html, which finds its way by the address), /assets/{file}, and /start, a page without scripts that
/// says what is here. Nobody is asked who he is: pages have no data. Without assets all pages are /start.
/// @param assets  must outlive the router
void add_routes(http::Router& router, std::span<const Asset> assets = built_assets());

}  // namespace backstream::console
