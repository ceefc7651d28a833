# SPDX-License-Identifier: Apache-2.0 OR MIT
# Runs over the JavaScript that emcc generates, before it is minified (--js-transform): addresses of 2 GiB and more become indices of
# typed arrays by an unsigned shift. emcc 3.1.69 shifts as signed numbers for -sMEMORY64=2, whatever the memory's size, so that all
# that JavaScript wrote to there was lost and all that it read undefined. Only its macros write shifts without spaces.
s/)>>\([123]\))/)>>>\1)/g
