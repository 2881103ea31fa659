/* Both directions of a session, cut into messages. First byte: the direction. */
#include <stdint.h>
#include <stdlib.h>

#include "pgseal/wire/frame.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define MAX_SIZE ((size_t)1 << 16)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	enum frame_side side;
	struct bytes left;
	enum err why = ERR_OK;
	struct frame f;

	if (size == 0)
		return 0;
	side = data[0] & 1 ? FRAME_FROM_SERVER : FRAME_FROM_CLIENT;
	left = (struct bytes){ data + 1, size - 1 };
	while (frame_peek(side, left, MAX_SIZE, &f, &why) == FRAME_READY) {
		if (f.size < FRAME_HEADER || f.size > MAX_SIZE || f.row->type != (char)left.at[0])
			abort();
		if (f.size > left.len)
			break;
		left.at += f.size;
		left.len -= f.size;
	}
	return 0;
}
