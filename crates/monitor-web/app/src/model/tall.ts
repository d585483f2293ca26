/**
 * Scrolling of content that is higher than the maximum height of an element in browsers (Firefox 17.9 million px, Chromium 33.5 million
 * device px).
 *
 * The element has a safe height. Small movements (wheel, touch, click on the bar) move the content by the same number of pixels. A jump of
 * the bar's thumb goes to the corresponding part of the content. The resulting difference between both positions is removed when scrolling
 * ends. Near both ends, the positions are equal.
 */
const SAFE_DEVICE_PX = 8_000_000;
/**
 * Movement of the thumb, in px, above which scrolling is treated as a jump; it must also be more than a page. No other input moves that far
 * at once.
 */
const THUMB_PX = 1 / 4;

export class TallScroll {
  private total = 0;
  private room = 0;
  private scrollTop = 0;
  /** Difference between the positions of content and element. */
  shift = 0;

  private readonly safe: number;

  constructor(pixelRatio: number) {
    this.safe = SAFE_DEVICE_PX / pixelRatio;
  }

  /** True if the content is higher than the element. */
  get isTall(): boolean {
    return this.total > this.safe;
  }

  /** Height of the element. */
  get height(): number {
    return Math.min(this.total, this.safe);
  }

  /** Position of the content at the top of the view. */
  get top(): number {
    return this.scrollTop + this.shift;
  }

  /** Sets the heights of content and view. */
  resize(total: number, room: number): void {
    this.total = total;
    this.room = room;
    if (!this.isTall) this.shift = 0;
    else this.shift = Math.max(0, Math.min(this.top, total - room)) - this.scrollTop;
  }

  /** Handles scrolling of the element, by the user or by the page. */
  scrolled(scrollTop: number): void {
    const by = Math.abs(scrollTop - this.scrollTop);
    const last = this.height - this.room;
    this.scrollTop = scrollTop;
    if (!this.isTall) return;
    const isJump = by > Math.max(this.room, (this.height / Math.max(1, this.room)) * THUMB_PX);
    if (isJump || scrollTop <= 0 || scrollTop >= last - 0.5) this.shift = Math.round(this.contentAt(scrollTop)) - scrollTop;
    // A movement shorter than the distance to an end must not pass that end.
    else this.shift = Math.max(0, Math.min(this.top, this.total - this.room)) - scrollTop;
  }

  /** Goes to a position in the content; returns the scroll position of the element. */
  goTo(top: number): number {
    const within = Math.max(0, Math.min(top, this.total - this.room));
    // Browsers round to whole pixels; a fraction would move the content each time.
    this.scrollTop = this.isTall ? Math.round(this.elementAt(within)) : within;
    this.shift = within - this.scrollTop;
    return this.scrollTop;
  }

  /** Size of the area at each end where both positions are equal. */
  private get exact(): number {
    return this.height / 8;
  }

  private elementAt(top: number): number {
    return this.map(top, this.total - this.room, this.height - this.room);
  }

  private contentAt(scrollTop: number): number {
    return this.map(scrollTop, this.height - this.room, this.total - this.room);
  }

  /** Maps a position in one range to the other range. */
  private map(at: number, end: number, otherEnd: number): number {
    const { exact } = this;
    if (at <= exact) return at;
    if (at >= end - exact) return otherEnd - (end - at);
    return exact + ((at - exact) * (otherEnd - 2 * exact)) / (end - 2 * exact);
  }
}
