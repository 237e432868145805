#include "base/status.h"

const char *qb_status_text(qb_status status)
{
    switch (status) {
#define QB_STATUS_CASE(name, value, text) \
    case QB_##name:                       \
        return text;
        QB_STATUS_LIST(QB_STATUS_CASE)
#undef QB_STATUS_CASE
    }
    return "unknown status";
}
