# Runs inside Signon by "rails runner", with Signon's own models. One request comes in as one line of JSON; one line of
# JSON goes out, in which a token's value stands only sealed to the one-time key of the request. Its rules:
#
# - Rows are found through the one API user and the one application of the request, never by their number alone.
# - A token has no name in Signon. The name under which one is minted is kept in the event log, in the same transaction,
#   as the message of the event that Signon itself records for tokens made by a machine.
# - Errors carry a kind and a text of our own; what an exception says is never repeated, since it may quote a row.
require "base64"
require "digest"
require "json"
require "openssl"

class RemintRequest
  class Refused < StandardError
    attr_reader :kind

    def initialize(kind, text)
      @kind = kind
      super(text)
    end
  end

  VERBS = %w[check list mint revoke].freeze
  NAME_LIMIT = 200 # the event log's message holds 255 characters

  def initialize(line)
    @ask = JSON.parse(line.dup.force_encoding("UTF-8"))
  end

  def answer
    out = begin
      refuse("config", "the request is of another version than this script") unless @ask["remint"] == 1 && VERBS.include?(@ask["verb"])
      public_send("do_#{@ask['verb']}").merge(about)
    rescue Refused => e
      { error: { kind: e.kind, message: e.message } }
    rescue StandardError, NotImplementedError => e
      { error: { kind: "temporary", message: "Signon failed with #{e.class.name}" } }
    end
    JSON.generate({ remint: 1, id: @ask["id"] }.merge(out))
  end

  def do_check
    collision
    longer_lived
    { tokens: described(live) }
  end

  def do_list
    { tokens: described(live) }
  end

  def do_mint
    name = @ask["name"].to_s
    refuse("config", "a name of #{name.length} characters does not fit into the event log; shorten the rotation's name") if name.length > NAME_LIMIT
    refuse("conflict", "a token of this name was minted before") if names.value?(name)
    longer_lived
    key = OpenSSL::PKey.read(Base64.strict_decode64(@ask["key"]))
    row = nil
    user.transaction do
      row = user.authorisations.build(application_id: application.id, expires_in: life)
      row.save!
      user.grant_application_signin_permission(application)
      EventLog.record_event(user, EventLog::ACCESS_TOKEN_AUTO_GENERATED, application: application,
                                                                        trailing_message: "#{PREFIX}#{row.id}: #{name}")
    end
    @names = nil
    sealed = key.encrypt(row.token, { "rsa_padding_mode" => "oaep", "rsa_oaep_md" => "sha256" })
    { tokens: described([row.reload]), sealed: Base64.strict_encode64(sealed) }
  end

  def do_revoke
    number = Integer(@ask["token"].to_s, 10)
    row = user.authorisations.find_by(id: number, application_id: application.id)
    if row.nil?
      refuse("denied", "token #{number} is not of this API user and application") if Doorkeeper::AccessToken.exists?(id: number)
      return { tokens: [] } # cleaned up after it had expired
    end
    # A database that was restored from another one has other tokens under the same numbers.
    refuse("conflict", "token #{number} is another one than was listed") unless @ask["sha256"] == digest(row)
    unless row.revoked?
      row.transaction do
        row.revoke
        EventLog.record_event(user, EventLog::ACCESS_TOKEN_REVOKED, initiator: initiator, application: application) if initiator
      end
    end
    refuse("temporary", "token #{number} is still alive after it was revoked") if row.reload.revoked_at.nil?
    { tokens: [] }
  end

  private

  PREFIX = "remint token ".freeze

  def refuse(kind, text)
    raise Refused.new(kind, text)
  end

  def about
    { secret: secret_name(user, application), client: application.uid, life: life, now: Time.now.to_i }
  end

  def life
    ApiUser::DEFAULT_TOKEN_LIFE.to_i
  end

  def user
    @user ||= begin
      email = @ask["user"].to_s
      found = ApiUser.find_by(email: email)
      if found.nil?
        refuse("not-found", "#{email} is a person, not an API user") if User.exists?(email: email)
        refuse("not-found", "there is no API user #{email}")
      end
      refuse("config", "the API user #{email} is suspended, and Signon writes no Secret for it") if found.suspended_at
      found
    end
  end

  def application
    @application ||= begin
      wanted = @ask["application"].to_s
      found = Doorkeeper::Application.all.select { |a| a.name.parameterize == wanted }
      if found.empty?
        retired = Doorkeeper::Application.unscoped.where(retired: true).any? { |a| a.name.parameterize == wanted }
        refuse("config", "the application #{wanted} is retired") if retired
        refuse("not-found", "there is no application #{wanted}; name it as the alert does, in small letters with hyphens")
      end
      if found.many?
        refuse("conflict", "#{wanted} names #{found.size} applications: #{found.map(&:name).sort.join(', ')}")
      end
      found.first
    end
  end

  def initiator
    return if @ask["initiator"].to_s.empty?

    @initiator ||= User.find_by(email: @ask["initiator"]) || refuse("not-found", "there is no user #{@ask['initiator']} to be named as the initiator")
  end

  def secret_name(user, application)
    "signon-token-#{user.name}-#{application.name}".parameterize
  end

  def rows
    user.authorisations.not_revoked.where(application_id: application.id)
  end

  def live
    rows.reject(&:expired?)
  end

  # Signon's own copying into Secrets takes the token that lives longest.
  def longer_lived
    initiator
    ending = Time.now.to_i + life
    row = live.find { |t| t.expires_at.nil? || t.expires_at.to_i > ending }
    return if row.nil?

    refuse("conflict", "token #{row.id} lives longer than a new one would, so Signon would go on handing out that; revoke it first, once nothing uses it")
  end

  # Of two pairs with one Secret, the one that is copied last wins.
  def collision
    mine = secret_name(user, application)
    refuse("config", "Signon would call the Secret #{mine}, which is no name of one; a name may have no underscore") if mine.include?("_")
    people = ApiUser.where(suspended_at: nil).index_by(&:id)
    servers = Doorkeeper::Application.all.index_by(&:id)
    Doorkeeper::AccessToken.not_revoked.where(resource_owner_id: people.keys, application_id: servers.keys)
      .distinct.pluck(:resource_owner_id, :application_id).each do |owner, server|
      next if owner == user.id && server == application.id
      next unless secret_name(people[owner], servers[server]) == mine

      refuse("conflict", "the tokens of #{people[owner].email} for #{servers[server].name} go into the same Secret #{mine}")
    end
  end

  def names
    @names ||= EventLog.where(uid: user.uid, application_id: application.id, event_id: EventLog::ACCESS_TOKEN_AUTO_GENERATED.id)
      .where("trailing_message LIKE ?", "#{PREFIX}%").order(:id).pluck(:trailing_message)
      .filter_map { |text| text.match(/\A#{PREFIX}(\d+): (.+)\z/) { |m| [m[1].to_i, m[2]] } }.to_h
  end

  def digest(row)
    Digest::SHA256.hexdigest(row.token)
  end

  def described(list)
    list.sort_by(&:id).map do |t|
      { token: t.id.to_s, name: names[t.id].to_s, created: t.created_at.to_i, expires: t.expires_at&.to_i, sha256: digest(t) }
    end
  end
end

$stdout.write("\n#{RemintRequest.new(REMINT_LINE).answer}\n")
$stdout.flush
